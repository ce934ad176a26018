"""The catalogue: every entry is sound, and names are found or explained."""

from __future__ import annotations

import re

import pytest

from harness.core.errors import ConfigError, UnknownNameError
from harness.data.metric import Metric
from harness.data.sources.catalogue import CATALOGUE, load_catalogue, lookup, names, read_catalogue
from harness.data.sources.synthetic import PREFIX, parse


def test_every_entry_is_sound():
    """Each entry has a metric, a licence, a description and sources that fit it."""
    for name, entry in load_catalogue().items():
        assert entry.name == name
        assert isinstance(entry.metric, Metric)
        assert entry.licence
        assert entry.about
        assert entry.sources
        assert len(set(entry.sources)) == len(entry.sources)
        for source in entry.sources:
            assert "{" not in source.value
            if source.kind == "url":
                assert source.value.startswith("https://")
                assert source.value.endswith(f"/{name}.hdf5")


def test_no_name_stands_twice():
    """YAML would let a later entry hide an earlier one of the same name."""
    written = re.findall(r"^      ([\w-]+):", CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(written) == list(names())


def test_names_state_metric_and_dimension():
    """What a name says of its metric and dimension is what the entry says."""
    for name, entry in load_catalogue().items():
        for word in ("euclidean", "angular", "hamming", "jaccard"):
            if word in name.split("-"):
                assert entry.metric == word, name
        if match := re.search(r"-(\d+)-(?:euclidean|angular|cosine|normalized|hamming|ip)", name):
            assert name.startswith(PREFIX) or entry.shape.dimension == int(match[1]), name


WELL_KNOWN = """
fashion-mnist-784-euclidean glove-100-angular dbpedia-openai-1000k-angular kosarak-jaccard random-xs-16-hamming
yi-128-ip simplewiki-openai-3072-normalized agnews-mxbai-1024-hamming-binary
"""


@pytest.mark.parametrize("name", WELL_KNOWN.split())
def test_well_known_names(name):
    """The names that users know are there."""
    assert lookup(name).name == name


def test_fashion_mnist_has_its_chain():
    """Fashion-MNIST is downloaded, else taken from Debian, else from a folder."""
    assert [s.kind for s in lookup("fashion-mnist-784-euclidean").sources] == ["url", "debian-package", "idx-folder"]


def test_listed_synthetic_names_agree_with_their_recipe():
    """The shape in the catalogue is the one that the generator makes."""
    for name, entry in load_catalogue().items():
        if name.startswith(PREFIX):
            recipe = parse(name)
            assert entry.shape == (recipe.n, recipe.n_queries, recipe.dimension)
            assert entry.metric is recipe.metric
            assert entry.sources[0].value == recipe.kind


def test_unlisted_synthetic_name():
    """Any size of synthetic data has an entry."""
    entry = lookup("synthetic-lowdim-1234-50-3-ip")
    assert entry.shape == (1234, 123, 50)
    assert entry.metric is Metric.IP


def test_unknown_name_suggests():
    """A misspelt name gets the nearest ones."""
    with pytest.raises(UnknownNameError, match="did you mean glove-100-angular"):
        lookup("glove100-angular")


ONE = "{publisher: x, site: '', licence: y, datasets: {a: %s}}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("collections: [", "can't be read as YAML"),
        ("{}", "collections"),
        (f"collections: [{ONE % '{metric: l3}'}]", "l3"),
        (f"collections: [{ONE % '{shape: [1, 1, 1]}'}]", "metric"),
        (f"collections: [{ONE % '{metric: ip, shape: [1, 1, 1], about: z}'}]", "a has no source"),
        (f"collections: [{ONE % '{metric: ip, shape: [1, 1, 1], about: z, sources: [{ftp: q}]}'}]", "kind"),
    ],
)
def test_broken_catalogue(save, text, why):
    """A broken catalogue is one line that names the file and the key."""
    path = save("c.yml", text.encode())
    with pytest.raises(ConfigError, match=re.escape(why)) as caught:
        read_catalogue(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_name_in_two_collections(save):
    """The same name in two collections is an error."""
    one = ONE % "{metric: ip, shape: [1, 1, 1], about: z, sources: [{url: u}]}"
    with pytest.raises(ConfigError, match="two collections"):
        read_catalogue(save("c.yml", f"collections: [{one}, {one}]".encode()))
