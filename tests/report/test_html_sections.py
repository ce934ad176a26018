"""What the interactive report says beside indexes: embeddings, the joint table, studies and dataset cards."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.analyse.statistics import Range
from harness.analyse.table import tidy
from harness.data.dataset import write_dataset
from harness.data.metric import Metric
from harness.data.truth import exact_neighbors
from harness.embedding.records import Figure, Record
from harness.report.html.cards import dataset_cards
from harness.report.html.embedding import joint_document
from harness.report.html.page import Content, render_page
from harness.report.html.studies import study_cards
from harness.report.tables import escape
from support import factory

EVIL = "<script>alert(1)</script>"


def record(model: str, value: float) -> Record:
    return Record(
        model=model,
        fingerprint=model,
        task="verses",
        task_hash="1",
        kind="retrieval",
        main="ndcg@10",
        figures={"ndcg@10": Figure(value=value, low=value - 0.1, high=value + 0.1)},
        dimension=384,
        created="2026-01-01T00:00:00+00:00",
    )


def test_embeddings_and_joint_tables() -> None:
    """Both tables stand on the page with their best in bold, sortable, and with names as text."""
    rows = [
        factory.make_joint_row(),
        factory.make_joint_row(algorithm="hnswlib", model=EVIL, search={"ef": EVIL}, qps=99.0, loss=0.0),
    ]
    page = render_page(Content(tidy([]), {}, [record("weak", 0.2), record(EVIL, 0.6)], rows))
    assert "<strong>0.6000 (0.500-0.700)</strong>" in page
    assert page.count("data-sortable") == 3  # two tables, and the script that looks for them
    assert EVIL not in page
    assert page.count("&lt;script&gt;") >= 2
    assert "the loss is measurable up to a recall of 0.9000" in page
    assert 'id="explore"' not in page


def test_curves_of_quality_against_speed() -> None:
    """A line for each dataset and algorithm holds what no setting beats, placed by exact search's quality and loss."""
    make = factory.make_joint_row
    rows = [
        make(loss=0.02, qps=1000.0),
        make(loss=0.03, qps=500.0),
        make(loss=0.0, qps=100.0, qps_range=Range(90.0, 110.0)),
        make(dataset="other", variant="pca-8"),
    ]
    document = joint_document(rows)
    assert document is not None
    first, second = document["curves"]
    assert (first["x"], first["y"]) == ([0.5, 0.52], [1000, 100])
    assert "100 QPS (90 to 110)" in first["said"][1]
    assert document["datasets"][second["dataset"]]["model"] == "a model, pca-8"
    assert joint_document([]) is None


def write_study(folder: Path, name: str, finding: str, text: str = "Sentences.") -> None:
    body = (
        f"# {escape(finding)}\n\n{escape(text, 2000)}\n\n![x](y.png)\n\nannbench study {name} · CPU. Settings: `1`.\n"
    )
    (folder / f"study-{name}.md").write_text(body, encoding="utf-8")


def test_studies_are_read_back(tmp_path: Path) -> None:
    """What was escaped for Markdown reads as it was; a picture of any size becomes a small one of pixels alone."""
    said = f"a_b *c* [d] | e & {EVIL} \\ $x$ ~"
    write_study(tmp_path, "small-world", said, said)
    write_study(tmp_path, "small-world-quick", "hasty")
    write_study(tmp_path, "other-quick", "only quick")
    tiles = np.random.default_rng(0).integers(0, 255, (6, 15, 3), np.uint8)
    Image.fromarray(tiles.repeat(100, axis=0).repeat(100, axis=1)).save(tmp_path / "study-small-world.png")
    (tmp_path / "study-other-quick.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "study-notes.md").write_text("no study")
    quick, full = study_cards(tmp_path)
    assert (full.finding, full.text, full.footer) == (said, said, "annbench study small-world · CPU")
    assert (quick.finding, quick.picture) == ("only quick", "")
    image = Image.open(io.BytesIO(base64.b64decode(full.picture.removeprefix("data:image/png;base64,"))))
    assert image.size == (full.width, full.height) == (1200, 480)
    page = render_page(Content(tidy([]), studies=(quick, full)))
    assert EVIL not in page
    assert full.picture in page


def test_a_folder_without_studies(tmp_path: Path) -> None:
    """No folder and an empty one have none."""
    assert study_cards(tmp_path / "absent") == study_cards(tmp_path) == []


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR])
def test_a_card_knows_how_many_dimensions_data_fill(tmp_path: Path, metric: Metric) -> None:
    """Of points on a plane, or on the surface of a sphere, in 20 dimensions the card says about 2 dimensions."""
    rng = np.random.default_rng(0)
    size = 2 if metric is Metric.EUCLIDEAN else 3
    points = np.zeros((2100, 20), np.float32)
    points[:, :size] = rng.normal(size=(2100, size))
    train, test = points[100:], points[:100]
    found, distances = exact_neighbors(metric, train, test, 100, progress=False)
    write_dataset(
        tmp_path / "flat.hdf5",
        metric=metric,
        train=train,
        test=test,
        neighbors=found,
        distances=distances,
        dimension=20,
        source=EVIL,
        licence="CC0",
    )
    (card,) = dataset_cards(tidy([factory.make_result(dataset="flat")]), tmp_path)
    facts = dict(card.facts)
    assert facts["Source"] == EVIL
    assert facts["Licence"] == "CC0"
    assert 1.7 < float(facts["Local intrinsic dimension"]) < 2.3
    assert 1.7 < float(facts["Two-NN dimension"]) < 2.4
    assert float(facts["Relative contrast"]) > 5
    assert "another version" in card.note


def test_cards_without_a_file(tmp_path: Path) -> None:
    """A dataset whose file is absent, broken, or named so as to lead elsewhere has the facts of its results alone."""
    (tmp_path / "data").mkdir()
    (tmp_path / "outside.hdf5").write_bytes(b"")
    (tmp_path / "data" / "broken.hdf5").write_bytes(b"no HDF5")
    names = ("../outside", "absent", "broken")
    cards = dataset_cards(tidy([factory.make_result(dataset=name) for name in names]), tmp_path / "data")
    assert [card.name for card in cards] == list(names)
    for card, words in zip(cards, ("not in the folder", "not in the folder", "truncated, or not an HDF5"), strict=True):
        assert words in card.note
        assert dict(card.facts) == {
            "Metric": "euclidean", "Rows": "60,000", "Dimension": "784", "Queries asked": "100",
        }  # fmt: skip
