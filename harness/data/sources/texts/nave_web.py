"""A retrieval task of Nave's topics and the World English Bible, and training pairs of it and the King James Version.

Queries are split by headword, and some books are held out: training sees no query of dev and test, and in no form a
verse of these books. So `nave-web` asks for new queries among documents that training may have seen, as retrieval
benchmarks commonly do, and `nave-web-heldout` for new queries among new documents.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.sources.texts.jsonl import split_of, write_jsonl, write_judgements
from harness.data.sources.texts.nave import Topic, headword_family
from harness.data.sources.texts.references import Canon

# One of each kind (history, poetry, wisdom, prophecy; history, letter, apocalypse), none of which another book retells,
# as Chronicles does Kings and the first three Gospels each other: a parallel text in training would be half an answer.
HELD_OUT = frozenset({"Judg", "Job", "Prov", "Ezek", "Acts", "Rom", "Rev"})
FEWEST_WORDS, FEWEST_VERSES = 3, 3
MOST_VERSES = 100  # the depth at which recall is usually taken
MOST_ALIKE = 0.5
_DEV = _TEST = 0.1

Judgements = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Scripture:
    """What the collections are made of: verses by id as (King James Version, World English Bible), topics, a README.

    A version that lacks a verse has the empty text there. Topics are those that become queries.
    """

    verses: Mapping[str, tuple[str, str]]
    topics: tuple[Topic, ...]
    readme: str

    def documents(self) -> dict[str, str]:
        """Return the verses of the World English Bible, id -> text, in order."""
        return {verse: web for verse, (_, web) in self.verses.items() if web}


def is_held_out(verse: str) -> bool:
    """Tell whether a verse belongs to a book that training never sees."""
    return verse.partition(".")[0] in HELD_OUT


def choose_topics(topics: Iterable[Topic], canon: Canon) -> tuple[tuple[Topic, ...], Counter[str]]:
    """Choose the topics that become queries, and count the others by the reason why they don't.

    Topics of one headword and one text are one. Left out are topics with fewer than 3 words, with fewer than 3 or more
    than 100 verses that exist, and those that name a whole chapter: it tells a story, of which few verses are relevant.
    """
    merged: dict[tuple[str, str], tuple[str, ...]] = {}
    for topic in topics:
        key = topic.headword, topic.text
        merged[key] = tuple(dict.fromkeys([*merged.get(key, ()), *topic.references]))
    chosen: list[Topic] = []
    left_out: Counter[str] = Counter()
    for (headword, text), references in merged.items():
        topic = Topic(headword, text, references)
        reason = _why_not(topic, canon)
        if reason:
            left_out[reason] += 1
        else:
            chosen.append(topic)
    return tuple(chosen), left_out


def _why_not(topic: Topic, canon: Canon) -> str:
    if any(reference.partition("-")[0].count(".") == 1 for reference in topic.references):
        return "names a whole chapter"
    verses = len(relevant(topic, canon))
    if verses < FEWEST_VERSES:
        return f"fewer than {FEWEST_VERSES} verses"
    if verses > MOST_VERSES:
        return f"more than {MOST_VERSES} verses"
    return f"fewer than {FEWEST_WORDS} words" if len(topic.text.split()) < FEWEST_WORDS else ""


def relevant(topic: Topic, canon: Canon) -> tuple[str, ...]:
    """Return the verses under a topic, each once, in the order in which it names them."""
    return tuple(dict.fromkeys(verse for reference in topic.references for verse in canon.verses(reference)))


def judge(scripture: Scripture) -> Judgements:
    """Return the judgements of nave-web: split -> query id -> relevant verses.

    Training gets no verse of a held-out book. Nave lists some verses under several headwords, so it gets no query,
    either, that shares half of its verses or more (by Jaccard) with one of dev or test.
    """
    judgements = _judge(scripture.topics, Canon(scripture.documents()))
    listing: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    for split in ("dev", "test"):
        for verses in map(frozenset, judgements[split].values()):
            for verse in verses:
                listing[verse].append(verses)
    train: dict[str, tuple[str, ...]] = {}
    for query, listed in judgements["train"].items():
        seen = tuple(verse for verse in listed if not is_held_out(verse))
        alike = any(_jaccard(seen, other) >= MOST_ALIKE for verse in seen for other in listing[verse])
        if seen and not alike:
            train[query] = seen
    return {**judgements, "train": train}


def judge_heldout(scripture: Scripture) -> Judgements:
    """Return the judgements of nave-web-heldout: split -> query id -> relevant verses, for dev and test."""
    judgements = _judge(scripture.topics, Canon(filter(is_held_out, scripture.documents())))
    return {split: judgements[split] for split in ("dev", "test")}


def _judge(topics: Iterable[Topic], canon: Canon) -> Judgements:
    judgements: Judgements = {"train": {}, "dev": {}, "test": {}}
    for query, topic in _with_ids(topics):
        verses = relevant(topic, canon)
        if verses:
            split = split_of(headword_family(topic.headword), dev=_DEV, test=_TEST)
            judgements[split][query] = verses
    return judgements


def _jaccard(verses: tuple[str, ...], other: frozenset[str]) -> float:
    shared = len(other.intersection(verses))
    return shared / (len(verses) + len(other) - shared)


def write_nave_web(scripture: Scripture, folder: Path) -> None:
    """Write the retrieval task in BEIR's layout: all verses as documents, and judgements for train, dev and test."""
    _write_beir(scripture, folder, scripture.documents(), judge(scripture))


def write_nave_web_heldout(scripture: Scripture, folder: Path) -> None:
    """Write the retrieval task among held-out books only, with the queries of dev and test that have verses there."""
    documents = {verse: text for verse, text in scripture.documents().items() if is_held_out(verse)}
    _write_beir(scripture, folder, documents, judge_heldout(scripture))


def write_verse_pairs(scripture: Scripture, folder: Path) -> None:
    """Write a verse's two versions as pairs: `train.jsonl`, and `heldout.jsonl` with those of held-out books."""
    both = [(verse, kjv, web) for verse, (kjv, web) in scripture.verses.items() if kjv and web]
    for name, held_out in (("train", False), ("heldout", True)):
        records = ({"id": v, "query": kjv, "positive": web} for v, kjv, web in both if is_held_out(v) == held_out)
        write_jsonl(folder / f"{name}.jsonl", records)
    (folder / "README.md").write_text(scripture.readme, encoding="utf-8")


def _with_ids(topics: Iterable[Topic]) -> Iterator[tuple[str, Topic]]:
    """Give each topic an id made of its headword and a number: `faith-in-christ-2`."""
    numbers: Counter[str] = Counter()
    for topic in topics:
        slug = re.sub(r"[^a-z0-9]+", "-", topic.headword.lower()).strip("-")
        numbers[slug] += 1
        yield f"{slug}-{numbers[slug]}", topic


def _write_beir(scripture: Scripture, folder: Path, documents: Mapping[str, str], judgements: Judgements) -> None:
    judged = {query for by_query in judgements.values() for query in by_query}
    write_jsonl(folder / "corpus.jsonl", ({"_id": v, "title": "", "text": text} for v, text in documents.items()))
    queries = (
        {"_id": query, "text": topic.text, "metadata": {"headword": topic.headword}}
        for query, topic in _with_ids(scripture.topics)
        if query in judged
    )
    write_jsonl(folder / "queries.jsonl", queries)
    for split, by_query in judgements.items():
        write_judgements(folder / "qrels" / f"{split}.tsv", by_query)
    (folder / "README.md").write_text(scripture.readme, encoding="utf-8")
