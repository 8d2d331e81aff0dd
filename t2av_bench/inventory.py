"""What can be downloaded, and how much of it is here: behind ``download --list``, ``--verify`` and ``doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from t2av_bench.download.remote import (
    Fault,
    RemoteFile,
    fault_of,
    file_hash,
    recall_hash,
    record_sha256,
    recorded_sha256,
    remember_hash,
    remembered_hash,
)
from t2av_bench.errors import no_such_name
from t2av_bench.manifests.official import BUILDABLE, built_path, canonical_name, lists_behind
from t2av_bench.manifests.pins import PINS
from t2av_bench.manifests.sources import LISTS
from t2av_bench.models.extractors.catalogue import WEIGHTS

Condition = Literal["missing", "unread", "verified", "recorded", "wrong"]


@dataclass(frozen=True)
class State:
    """Whether a file is here and right.

    Attributes
    ----------
    condition
        ``missing``; ``unread``: here, not verified since it was last written; ``verified``; ``recorded``: equal to the
        first copy that came, as no full hash is published; ``wrong``.
    detail
        For people.
    """

    condition: Condition
    detail: str


def choose_weights(only: Sequence[str], *, on_request: bool = True) -> list[RemoteFile]:
    """Return the weights files of the names and groups given.

    Parameters
    ----------
    only
        Names and groups; empty for all.
    on_request
        Whether "all" takes in the base models of the reference generator, several GB that no score needs.

    Raises
    ------
    UsageError
        If a name is neither.
    """
    groups = {name.split("/")[0] for name in WEIGHTS}
    for name in only:
        _check_name(name, [*WEIGHTS, *groups], "weights")
    if not only:
        return [entry for name, entry in WEIGHTS.items() if on_request or not name.startswith("audioldm-")]
    return [entry for name, entry in WEIGHTS.items() if name in only or name.split("/")[0] in only]


def choose_manifests(only: Sequence[str]) -> list[str]:
    """Return the names of the manifests to build, all without any; a source's name means all of its splits.

    Raises
    ------
    UsageError
        If there is no manifest of a name.
    """
    sources = {name.split("/")[0] for name in LISTS}
    chosen = []
    for name in only:
        _check_name(name, [*BUILDABLE, *sources], "manifest")
        chosen += [one for one in BUILDABLE if name in sources and one.startswith(f"{name}/")] or [canonical_name(name)]
    return list(dict.fromkeys(chosen)) or list(BUILDABLE)


def lists_of(manifests: Iterable[str]) -> list[RemoteFile]:
    """Return the published lists behind manifests, each once."""
    return list({file.name: file for name in manifests for file in lists_behind(name)}.values())


def content_check(file: RemoteFile) -> Callable[[Path], Fault | None] | None:
    """Return what compares a file's tensors with the published layout; None where a full hash tells more."""
    if file.is_pinned or file.name not in WEIGHTS:
        return None
    from t2av_bench.models.extractors.layouts import layout_fault

    return partial(layout_fault, file)


def state_of(file: RemoteFile, *, read: bool = False) -> State:
    """Tell whether a file is here and right.

    Parameters
    ----------
    file
        The published file.
    read
        Read it whole and compare everything that is known; otherwise only what is remembered is used.
    """
    if not file.path.is_file():
        return State("missing", "missing")
    strongest, value = ("md5", file.md5) if file.md5 and not file.sha256 else ("sha256", file.sha256)
    known_size = file.bytes_n is None or file.path.stat().st_size == file.bytes_n
    if not read and known_size and recall_hash(file.path, strongest) is None:
        return State("unread", "here, not yet verified (--verify)")
    fault: Fault | None = fault_of(file, file.path, thorough=read)
    check = content_check(file) if read else None
    if fault is None and check is not None:
        fault = check(file.path)
    if fault is not None:
        return State("wrong", f"WRONG: must have {fault.expected}, but has {fault.found}")
    if file.is_pinned:
        remember_hash(file.path, strongest, value or file_hash(file.path))
        return State("verified", "verified")
    sha256 = remembered_hash(file.path)
    if recorded_sha256(file.path) is None:
        with suppress(OSError):  # a read-only home folder
            record_sha256(file.path, sha256)
    how_far = f"its first {len(file.sha256_prefix)} hash digits" if file.sha256_prefix else "no hash"
    return State("recorded", f"here; {how_far} could be verified, sha256 {sha256} is recorded")


def manifest_state(name: str) -> State:
    """Tell whether a manifest is built and has the pinned hash."""
    path = built_path(name)
    if not path.is_file():
        return State("missing", "not built")
    pin = PINS.get(canonical_name(name))
    found = remembered_hash(path)
    if pin is None:
        first = recorded_sha256(path)
        if first and found != first:
            return State("wrong", f"CHANGED: must have sha256 {first}, as when it was built first, but has {found}")
        return State("recorded", f"built; not pinned, it has sha256 {found}")
    if found != pin:
        return State("wrong", f"CHANGED: must have sha256 {pin}, but has {found}")
    return State("verified", "verified")


def _check_name(name: str, known: list[str], what: str) -> None:
    if name not in known:
        raise no_such_name(f"There is no {what} {name!r}", name, sorted(set(known)))
