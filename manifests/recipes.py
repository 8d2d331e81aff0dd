"""Which clips of which published lists make which manifest, what they are called, and the bytes of the file.

The rules are declared in :mod:`t2av_bench.manifests.official`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from t2av_bench.download.remote import RemoteFile
from t2av_bench.manifests.schema import COLUMNS
from t2av_bench.manifests.sources import LISTS
from t2av_bench.manifests.upstream import Entry, read_audiocaps, read_llp, read_vggsound_full, read_vggsound_test

MINI_N = 256
DURATION_S = 10.0
_TESTS = ("audiocaps/test", "llp/test", "vggsound/test")  # in the order of precedence
_TRAINS = ("audiocaps/train", "llp/train", "vggsound/train")
ALIASES = {"audiocaps": "audiocaps/test", "vggsound": "vggsound/test", "llp": "llp/test"}
"""Short names; without a split, the test list is meant."""


Reader = Callable[[str], list[Entry]]


class Recipe(NamedTuple):
    """How a manifest is made.

    Attributes
    ----------
    parts
        Names of the lists' splits it is made of.
    select
        What is kept of their entries, in order.
    needs
        Further splits that the selection looks at.
    """

    parts: tuple[str, ...]
    select: Callable[[Reader], list[Entry]]
    needs: tuple[str, ...] = ()

    @property
    def lists(self) -> list[RemoteFile]:
        """The published lists it is made from."""
        return [LISTS[_list_of(split)] for split in dict.fromkeys(self.parts + self.needs)]


def merge(groups: Iterable[list[Entry]]) -> list[Entry]:
    """Unite lists, one entry per video and start; the first stands, with the labels of all."""
    merged: dict[tuple[str, float], Entry] = {}
    for entry in (entry for group in groups for entry in group):
        known = merged.get(entry.key)
        labels = entry.labels if known is None else tuple(dict.fromkeys(known.labels + entry.labels))
        merged[entry.key] = replace(known or entry, labels=labels)
    return list(merged.values())


def without_videos(entries: list[Entry], tests: Iterable[list[Entry]]) -> list[Entry]:
    """Leave out every clip of a video of which any test list has a clip, at whatever start."""
    videos = {entry.video for group in tests for entry in group}
    return [entry for entry in entries if entry.video not in videos]


def first_by_hash(entries: list[Entry], count: int) -> list[Entry]:
    """Return the entries whose ids have the lowest SHA-256: a sample that depends on nothing but the ids."""
    return sorted(entries, key=lambda entry: hashlib.sha256(clip_id(entry).encode()).hexdigest())[:count]


def clip_id(entry: Entry) -> str:
    """Return the name of a clip."""
    if entry.start_s.is_integer():
        return f"{entry.video}_{int(entry.start_s):06d}"
    return f"{entry.video}_{entry.start_s:g}_{entry.start_s + DURATION_S:g}"


def _as_published(name: str) -> Recipe:
    return Recipe((name,), lambda read: read(name))


def _without_test_videos(name: str) -> Recipe:
    return Recipe((name,), lambda read: without_videos(read(name), map(read, _TESTS)), needs=_TESTS)


def _recipes() -> dict[str, Recipe]:
    splits = ("audiocaps/train", "audiocaps/val", "llp/train", "llp/val", "vggsound/train", *_TESTS)
    recipes = {name: _as_published(name) for name in sorted(splits)}
    recipes["t2av-bench"] = Recipe(_TESTS, lambda read: merge(map(read, _TESTS)))
    recipes["t2av-bench-mini"] = Recipe(_TESTS, lambda read: first_by_hash(merge(map(read, _TESTS)), MINI_N))
    for name in _TESTS:
        recipes[f"t2av-bench/{name.split('/')[0]}"] = _as_published(name)
    for name in _TRAINS:
        recipes[f"t2av-bench/train-{name.split('/')[0]}"] = _without_test_videos(name)
    return recipes


RECIPES = _recipes()
"""Every manifest that can be built, by name."""


def file_content(entries: list[Entry]) -> bytes:
    """Return the file of a manifest: the same bytes on every machine."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([*COLUMNS, "alternative_captions"])
    for entry in entries:
        name = clip_id(entry)
        cells = (name, entry.source, f"{entry.source}/{name}.mp4", "0", f"{DURATION_S:g}", entry.caption)
        alternatives = json.dumps(entry.alternatives, ensure_ascii=False) if entry.alternatives else ""
        writer.writerow([*cells, ";".join(entry.labels), entry.split, alternatives])
    return text.getvalue().encode()


def _list_of(split: str) -> str:
    return "vggsound/full" if split == "vggsound/train" else split


def reader() -> Reader:
    """Return a function that reads each split from its list in the home folder once."""
    return cache(read_split)


def read_split(split: str) -> list[Entry]:
    """Read one split from its list in the home folder; raises ``ManifestError``."""
    source, _, part = split.partition("/")
    path = LISTS[_list_of(split)].path
    if source == "audiocaps":
        return read_audiocaps(path, part)
    if source == "llp":
        return read_llp(path, part)
    return read_vggsound_test(path) if part == "test" else read_vggsound_full(path, part)
