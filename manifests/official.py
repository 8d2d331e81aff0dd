"""The manifests that are built on the user's machine from the published lists, by declared rules.

**T2AV-Bench here is a reconstruction.** The paper (arXiv 2403.07938) names VGGSound, AudioCaps and LLP and published no
list of clips. ``t2av-bench`` is the union of their test lists, one clip per video and start; where two lists have the
same clip, the caption that people wrote (AudioCaps) stands and the labels of both are kept.

Clips are named ``<YouTube id>_<start in whole seconds, 6 digits>``; the five fractional starts of LLP's training list
keep LLP's own names. Media is looked for in ``<data folder>/<source>/`` and, under any known naming convention, in the
data folder itself. Published copies of all three sets are cut into clips, so every ``start_s`` is 0.

A manifest's file must have the SHA-256 pinned in :mod:`t2av_bench.manifests.pins`: that proves that two users have the
same benchmark. A file that differs is still read, with a warning, and marks results as not comparable.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from t2av_bench.errors import ManifestError, ManifestWarning, PrerequisiteError, UsageError
from t2av_bench.home import home
from t2av_bench.manifests.pins import PINS
from t2av_bench.manifests.schema import COLUMNS, Manifest, read_manifest
from t2av_bench.manifests.sources import LICENCES, LISTS
from t2av_bench.manifests.upstream import Entry, read_audiocaps, read_llp, read_vggsound_full, read_vggsound_test
from t2av_bench.remote import RemoteFile, fault_of, remembered_hash

VERSION = "1"
QUICK_N = 256
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


class Built(NamedTuple):
    """What building a manifest gave.

    Attributes
    ----------
    path
        The file.
    clips_n
        Clips in it.
    left_out_n
        Clips of its lists that it does not hold: double ones, videos of the test lists, or all but the first few.
    state
        ``verified``, or ``no hash pinned``.
    """

    path: Path
    clips_n: int
    left_out_n: int
    state: str


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
    recipes[f"t2av-bench/quick-{QUICK_N}"] = Recipe(
        _TESTS, lambda read: first_by_hash(merge(map(read, _TESTS)), QUICK_N)
    )
    for name in _TESTS:
        recipes[f"t2av-bench/{name.split('/')[0]}"] = _as_published(name)
    for name in _TRAINS:
        recipes[f"t2av-bench/train-{name.split('/')[0]}"] = _without_test_videos(name)
    return recipes


RECIPES = _recipes()
"""Every manifest that can be built, by name."""


def canonical_name(name: str) -> str:
    """Return the name in full: ``audiocaps`` is ``audiocaps/test``."""
    return ALIASES.get(name, name)


def built_path(name: str) -> Path:
    """Return where the file of a manifest belongs."""
    return home() / "manifests" / f"{canonical_name(name)}.csv"


def build_official(name: str) -> Built:
    """Build a manifest from the lists in the home folder and put its verified file there.

    Raises
    ------
    UsageError
        If there is no manifest of that name.
    PrerequisiteError
        If a list is missing or not the published one; says how to get it.
    ManifestError
        If the file does not have the pinned hash: then it is not written.
    """
    name = canonical_name(name)
    if name not in RECIPES:
        raise UsageError(f"There is no manifest {name!r} to build. Available: {', '.join(RECIPES)}.")
    recipe = RECIPES[name]
    _require_lists(name, recipe)
    entries = recipe.select(_read_split)
    content = file_content(entries)
    pin = PINS.get(name)
    found = hashlib.sha256(content).hexdigest()
    if pin is not None and found != pin:
        raise ManifestError(f"{name}: the built manifest must have sha256 {pin}, but has {found}; please report this")
    path = built_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
    total = sum(len(_read_split(part)) for part in recipe.parts)
    return Built(path, len(entries), total - len(entries), "verified" if pin else "no hash pinned")


def load_official(name: str) -> Manifest:
    """Load a manifest by name, building it first if only the lists are there; raises as :func:`build_official`.

    Warns
    -----
    ManifestWarning
        If the file is not the one whose hash is pinned: results with it are not comparable.
    """
    name = canonical_name(name)
    path = built_path(name)
    if not path.is_file():
        build_official(name)
    sources = dict.fromkeys(part.split("/")[0] for part in RECIPES[name].parts)
    manifest = replace(
        read_manifest(path),
        name=name,
        version=VERSION,
        licence="; ".join(LICENCES[source] for source in sources),
        data_dir=None,
    )
    pin = PINS.get(name)
    if pin is None:
        return manifest
    official = remembered_hash(path) == pin
    if not official:
        warnings.warn(
            f"{path} is not the manifest {name} as it was built: it must have sha256 {pin}. Results with it are not "
            f"comparable. `t2av-bench manifest build {name}` makes it anew.",
            ManifestWarning,
            stacklevel=2,
        )
    return replace(manifest, official=official)


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


def _require_lists(name: str, recipe: Recipe) -> None:
    for file in recipe.lists:
        there = file.path.is_file()
        fault = fault_of(file, file.path) if there else None
        if not there or fault:
            state = f"must have {fault.expected}, but has {fault.found}" if fault else "is missing"
            raise PrerequisiteError(
                f"The list {file.file_name} behind the manifest {name} {state}. Run `t2av-bench download manifests "
                f"--only {name}`, or fetch {file.url} and put it at {file.path}."
            )


def _list_of(split: str) -> str:
    return "vggsound/full" if split == "vggsound/train" else split


def _read_split(split: str) -> list[Entry]:
    source, _, part = split.partition("/")
    path = LISTS[_list_of(split)].path
    if source == "audiocaps":
        return read_audiocaps(path, part)
    if source == "llp":
        return read_llp(path, part)
    return read_vggsound_test(path) if part == "test" else read_vggsound_full(path, part)
