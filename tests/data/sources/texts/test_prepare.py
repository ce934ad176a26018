"""A collection's name becomes a folder: sources in turn, whole or not at all, from Python and from the command line."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile

import pytest

from harness.cli.main import main
from harness.core.errors import ConfigError, SourceError, UnknownNameError
from harness.data.sources.catalogue import load_catalogue
from harness.data.sources.prepare import prepare
from harness.data.sources.texts import prepare as module
from harness.data.sources.texts.catalogue import TextEntry, load_texts, lookup_texts, read_texts
from harness.data.sources.texts.prepare import HOLDS, prepare_texts
from harness.data.sources.texts.scripture import write_archive

ARCHIVE = lookup_texts("nave-web").sources[0].value
TWICE = "{publisher: a, sources: [{url: b}], texts: {x: {kind: pairs, licence: b, about: c}}}"
BEIR = {
    "scifact/corpus.jsonl": b'{"_id": "1", "title": "", "text": "a"}\n',
    "scifact/queries.jsonl": b'{"_id": "q", "text": "a"}\n',
    "scifact/qrels/test.tsv": b"query-id\tcorpus-id\tscore\nq\t1\t1\n",
}


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def served(site, monkeypatch):
    """Return a function that lets a name's only source be the local server, with the given content."""

    def serve(name, content):
        site.content = content
        entry = load_texts()[name].model_dump() | {"sources": [{"url": site.url.replace("file.hdf5", "set.zip")}]}
        monkeypatch.setattr(module, "lookup_texts", lambda _: TextEntry.model_validate(entry))

    return serve


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Leave no package manager on the path, and no archive in the repository."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(module, "_REPOSITORY_DATA", tmp_path / "nowhere")


def test_every_entry_is_sound():
    """Each collection has all that the list shows, a name of its own, and sources that this module knows."""
    for name, entry in load_texts().items():
        assert entry.name == name
        assert name not in load_catalogue()
        assert entry.licence
        assert entry.about
        for source in entry.sources:
            assert "{" not in source.value
            if source.kind == "url":
                assert source.value.startswith(("https://", "http://"))
                assert source.value.endswith((f"/{name}.zip", ".tar.gz"))
    assert {"scifact", "nfcorpus", "fiqa", "arguana", "scidocs", "trec-covid", "quora", "sts-b"} <= set(load_texts())
    with pytest.raises(UnknownNameError, match="did you mean nave-web"):
        lookup_texts("nave-wbe")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "can't be read as YAML"),
        ("collections: [{publisher: a, texts: {x: {kind: verse, licence: b, about: c}}}]", "kind"),
        ("collections: [{publisher: a, texts: {x: {kind: pairs, licence: b, about: c}}}]", "sources"),
        ("collections: [{publisher: a, sources: [{ftp: x}], texts: {}}]", "kind"),
        (f"collections: [{TWICE}, {TWICE}]", "'x' stands in two collections"),
    ],
)
def test_a_broken_catalogue_is_one_line(tmp_path, text, why):
    """A mistake in the catalogue is told with its file and key."""
    path = tmp_path / "texts.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        read_texts(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_first_source_is_an_archive_in_the_folder(scripture, tmp_path, offline, console):
    """The archive beside the collections serves all three; a folder that is there is returned as it is."""
    write_archive(scripture, tmp_path / ARCHIVE)
    for name in ("nave-web", "nave-web-heldout", "kjv-web-pairs"):
        path = prepare_texts(name, folder=tmp_path, console=console)
        assert path == tmp_path / name
        assert all(any(path.glob(pattern)) for pattern in HOLDS[lookup_texts(name).kind])
    (tmp_path / ARCHIVE).unlink()
    (tmp_path / "nave-web" / "corpus.jsonl").write_text("mine")
    prepare_texts("nave-web", folder=tmp_path, console=console)
    assert (tmp_path / "nave-web" / "corpus.jsonl").read_text() == "mine"
    with pytest.raises(SourceError):
        prepare_texts("nave-web", folder=tmp_path, force=True, console=console)
    assert (tmp_path / "nave-web" / "corpus.jsonl").read_text() == "mine"


def test_packages_follow_where_the_archive_is_broken(scripture, tmp_path, console, monkeypatch):
    """A broken archive is skipped with a line, and the Debian packages serve."""
    (tmp_path / ARCHIVE).write_bytes(b"broken")
    monkeypatch.setattr(module.scripture, "from_packages", lambda packages, *, console: scripture)
    prepare_texts("kjv-web-pairs", folder=tmp_path, console=console)
    assert "skipped: " in console.file.getvalue()
    assert (tmp_path / "kjv-web-pairs" / "train.jsonl").is_file()


def test_nothing_left_to_try(tmp_path, offline, console):
    """Offline, each source that was tried is listed, and what to do by hand; no folder is left."""
    with pytest.raises(SourceError) as caught:
        prepare_texts("nave-web", folder=tmp_path, console=console)
    text = str(caught.value)
    assert text.startswith("nave-web could not be had; what was tried:\n")
    assert f"no {ARCHIVE} in {tmp_path}" in text
    assert "apt-get is not on this machine" in text
    assert f"put corpus.jsonl and queries.jsonl and qrels/*.tsv into {tmp_path / 'nave-web'}" in text
    for name in ("wordnet-pairs", "debian-descriptions", "noto-emoji", "fashion-mnist-captions"):
        with pytest.raises(SourceError, match="apt-get is not on this machine"):
            prepare_texts(name, folder=tmp_path, console=console)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_of_beir(served, tmp_path, console):
    """A downloaded zip becomes a folder without the one around it, and nothing else is left."""
    served("scifact", zipped(BEIR))
    path = prepare_texts("scifact", folder=tmp_path, progress=False, console=console)
    assert {str(p.relative_to(path)) for p in path.rglob("*.*")} == {n.removeprefix("scifact/") for n in BEIR}
    assert list(tmp_path.iterdir()) == [path]


def test_sts_gets_its_names(served, tmp_path, console):
    """The tables of the STS Benchmark are called after their splits."""
    rows = {
        f"stsbenchmark/sts-{split}.csv": f"{split}\tf\t1\t2\t5.0\ta\tb\n".encode() for split in ("train", "dev", "test")
    }
    served("sts-b", tarred({**rows, "stsbenchmark/readme.txt": b"read"}))
    path = prepare_texts("sts-b", folder=tmp_path, progress=False, console=console)
    assert {p.name for p in path.iterdir()} == {"train.csv", "dev.csv", "test.csv", "readme.txt"}
    assert (path / "dev.csv").read_text().startswith("dev\t")


def test_a_folder_that_can_not_be_written(scripture, tmp_path, console):
    """A file in the way of the folder of datasets is one line."""
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"nave-web could not be written \(File exists\)"):
        prepare_texts("nave-web", folder=tmp_path / "file", console=console)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>not found</html>", "can't be unpacked"),
        (zipped({"scifact/../../evil": b"x"}), "outside of its folder"),
        (zipped({"scifact/corpus.jsonl": b"{}"}), r"holds no queries\.jsonl and no qrels"),
    ],
)
def test_a_bad_download_leaves_nothing(served, tmp_path, console, content, why):
    """What is no archive, a malicious one, or one of something else is refused, and neither it nor its parts stay."""
    served("scifact", content)
    with pytest.raises(SourceError, match=why):
        prepare_texts("scifact", folder=tmp_path, progress=False, console=console)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_download_is_kept_and_resumed(served, site, tmp_path, console, monkeypatch):
    """What came before the connection failed is there for the next call."""
    served("scifact", content := zipped(BEIR))
    site.cuts = [100]
    monkeypatch.setattr(
        module, "download", lambda *a, original=module.download, **k: original(*a, attempts=1, pause=0, **k)
    )
    with pytest.raises(SourceError, match="the connection ended after 100"):
        prepare_texts("scifact", folder=tmp_path, progress=False, console=console)
    path = prepare_texts("scifact", folder=tmp_path, progress=False, console=console)
    assert site.requests[-1]["Range"] == "bytes=100-"
    assert len(content) > 100
    assert list(tmp_path.iterdir()) == [path]


def test_texts_are_prepared_by_the_common_entrance(scripture, tmp_path, offline, console):
    """`prepare` knows the names of texts, and refuses for them what is for vectors."""
    write_archive(scripture, tmp_path / ARCHIVE)
    assert prepare("nave-web", folder=tmp_path, console=console) == tmp_path / "nave-web"
    (tmp_path / "nave-web" / "queries.jsonl").unlink()
    prepare("nave-web", folder=tmp_path, console=console)
    assert (tmp_path / "nave-web" / "queries.jsonl").exists()
    assert "holds no queries.jsonl; preparing it anew" in console.file.getvalue()
    for option in ({"metric": "angular"}, {"queries": 10}, {"name": "x"}, {"neighbors": 5}):
        with pytest.raises(ConfigError, match="takes no metric, queries, neighbors or name"):
            prepare("nave-web", folder=tmp_path, console=console, **option)


def annbench(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["annbench", *arguments])
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code or 0
    return status, capsys.readouterr()


def test_command_line(scripture, tmp_path, offline, monkeypatch, capsys):
    """`annbench prepare` and `annbench list datasets` know collections of texts, and say which are here."""
    write_archive(scripture, tmp_path / ARCHIVE)
    place = ["--data", str(tmp_path)]
    status, said = annbench(monkeypatch, capsys, "prepare", "nave-web", "scifactt", *place)
    assert status == 2
    assert said.out.split() == [str(tmp_path / "nave-web")]
    assert "no dataset is called 'scifactt'; did you mean scifact or scidocs?" in said.err
    status, said = annbench(monkeypatch, capsys, "list", "datasets", *place)
    rows = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()}
    assert status == 0
    assert rows["nave-web"][:2] == ["here", "retrieval"]
    assert rows["sts-b"][:2] == ["similarity", "pairs"]
