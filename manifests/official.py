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

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from t2av_bench.download.remote import (
    RemoteFile,
    fault_of,
    record_path,
    record_sha256,
    recorded_sha256,
    remembered_hash,
)
from t2av_bench.errors import ManifestError, ManifestWarning, PrerequisiteError, UsageError
from t2av_bench.files import replacing
from t2av_bench.home import home
from t2av_bench.manifests.llp_events import events_content, read_events
from t2av_bench.manifests.pins import PINS
from t2av_bench.manifests.recipes import ALIASES, RECIPES, Reader, file_content, reader
from t2av_bench.manifests.schema import Manifest, read_manifest
from t2av_bench.manifests.sources import LICENCES, LISTS

VERSION = "1"
EVENTS = "llp/events"
"""LLP's repaired time lines: built like a manifest, but no list of clips."""

BUILDABLE = (*RECIPES, EVENTS)
"""Everything that can be built, by name."""


class Built(NamedTuple):
    """What building a manifest gave.

    Attributes
    ----------
    path
        The file.
    rows_n, unit
        How many clips or events it holds.
    left_out_n
        What its lists hold besides: double clips, videos of the test lists, all but the first few, faulty events.
    state
        ``verified``, or for a manifest without a pinned hash what was recorded of it.
    """

    path: Path
    rows_n: int
    unit: str
    left_out_n: int
    state: str


def canonical_name(name: str) -> str:
    """Return the name in full: ``audiocaps`` is ``audiocaps/test``."""
    return ALIASES.get(name, name)


def built_path(name: str) -> Path:
    """Return where the file of a manifest belongs."""
    return home() / "manifests" / f"{canonical_name(name)}.csv"


def build_official(name: str, read: Reader | None = None) -> Built:
    """Build a manifest from the lists in the home folder and put its verified file there.

    Parameters
    ----------
    name
        One of :data:`BUILDABLE`.
    read
        Returns the entries of a split; one :func:`~t2av_bench.manifests.recipes.reader` for several manifests reads
        the lists that they share once.

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
    if name not in BUILDABLE:
        raise UsageError(f"There is no manifest {name!r} to build. Available: {', '.join(BUILDABLE)}.")
    _require_lists(name)
    read = read or reader()
    content, rows_n, left_out_n = _events(read) if name == EVENTS else _clips(name, read)
    pin = PINS.get(name)
    path = built_path(name)
    found = hashlib.sha256(content).hexdigest()
    if pin is not None and found != pin:
        raise ManifestError(f"{name}: the built manifest must have sha256 {pin}, but has {found}; please report this")
    state = "verified" if pin else _compare_with_first_build(name, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Built(path, rows_n, "events" if name == EVENTS else "clips", left_out_n, state)


def _compare_with_first_build(name: str, found: str) -> str:
    """Hold a manifest without a pinned hash to what it was when it was built here first, and record that."""
    path = built_path(name)
    first = recorded_sha256(path)
    if first is None:
        record_sha256(path, found)
        return f"not pinned: sha256 {found} was recorded, and later builds must have it too"
    if found != first:
        raise ManifestError(
            f"{name}: the manifest must have sha256 {first}, as when it was built here first, but has {found}. If that "
            f"is meant to be, delete {record_path(path)} and build it anew."
        )
    return f"not pinned: sha256 {found}, as when it was built here first"


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
    expected = PINS.get(name) or recorded_sha256(path)
    unchanged = expected is None or remembered_hash(path) == expected
    if not unchanged:
        warnings.warn(
            f"{path} is not the manifest {name} as it was built: it must have sha256 {expected}. Results with it are "
            f"not comparable. `t2av-bench manifest build {name}` makes it anew.",
            ManifestWarning,
            stacklevel=2,
        )
    return replace(manifest, official=unchanged and name in PINS)


def lists_behind(name: str) -> list[RemoteFile]:
    """Return the published lists that a name of :data:`BUILDABLE` is built from."""
    if name == EVENTS:
        return [LISTS[f"llp/{part}"] for part in ("val", "test", "eval-audio", "eval-visual")]
    return RECIPES[name].lists


def _clips(name: str, read: Reader) -> tuple[bytes, int, int]:
    """Return a manifest's file, the number of its clips, and how many its lists have besides."""
    recipe = RECIPES[name]
    entries = recipe.select(read)
    return file_content(entries), len(entries), sum(len(read(part)) for part in recipe.parts) - len(entries)


def _events(read: Reader) -> tuple[bytes, int, int]:
    """Return the file of LLP's events, their number, and how many rows were left out."""
    clips = {entry.key for part in ("llp/val", "llp/test") for entry in read(part)}
    heard, heard_repairs = read_events(LISTS["llp/eval-audio"].path, clips)
    seen, seen_repairs = read_events(LISTS["llp/eval-visual"].path, clips)
    content = events_content({"audio": heard, "video": seen})
    return content, len(heard) + len(seen), heard_repairs.left_out_n + seen_repairs.left_out_n


def _require_lists(name: str) -> None:
    for file in lists_behind(name):
        there = file.path.is_file()
        fault = fault_of(file, file.path) if there else None
        if not there or fault:
            state = f"must have {fault.expected}, but has {fault.found}" if fault else "is missing"
            raise PrerequisiteError(
                f"The list {file.file_name} behind the manifest {name} {state}. Run `t2av-bench download manifests "
                f"--only {name}`, or fetch {file.url} and put it at {file.path}."
            )
