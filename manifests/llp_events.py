"""LLP's time lines: when which event is heard or seen in the clips of ``val`` and ``test``, and their repair.

========================================================  =====================================================
defect of the published lists                             what is done
========================================================  =====================================================
two ids of which one split holds the evident original     renamed (:data:`RENAMED`)
six ids that are cut short or occur in no split           their rows are left out (:data:`LOST`)
six rows whose event ends before or when it begins        left out: which of the two times is wrong is not known
doubled rows                                              once
clips without any audible (5) or visible (121) event      no rows, as published
========================================================  =====================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from t2av_bench.errors import ManifestError
from t2av_bench.manifests.upstream import LLP_NAME, LLP_PHRASES, table_rows

RENAMED = {"19jWnmYnlD8_30_400": "19jWnmYnlD8_30_40", "VMTJRpjbE_150_160": "1-VMTJRpjbE_150_160"}
LOST = frozenset(
    {
        "12eWNawPekw_30_40",
        "17iGUal2M_10_20",
        "7X3oSVoA_90_100",
        "AkAfFL5Q4QA_30_40",
        "CSWQ_HzQ_10_20",
        "P7x4FV4lg_570_580",
    }
)
_HEADER = ("filename", "onset", "offset", "event_labels")


class Event(NamedTuple):
    """One event on a clip's time line, in seconds within the clip."""

    video: str
    start_s: float
    onset_s: float
    offset_s: float
    label: str


class Repairs(NamedTuple):
    """Rows that were changed or left out, by reason."""

    renamed_n: int
    lost_n: int
    reversed_n: int
    doubled_n: int

    @property
    def left_out_n(self) -> int:
        """Rows that are not in the result."""
        return self.lost_n + self.reversed_n + self.doubled_n


def read_events(path: Path, clips: set[tuple[str, float]]) -> tuple[list[Event], Repairs]:
    """Read one of LLP's two lists of events.

    Parameters
    ----------
    path
        ``AVVP_eval_audio.csv`` or ``AVVP_eval_visual.csv``.
    clips
        Video and start of every clip of ``val`` and ``test``.

    Returns
    -------
    events
        In the list's order, each once.
    repairs
        How many rows were mended or left out.

    Raises
    ------
    ManifestError
        If a row breaks the format, or names an unknown clip that is not among the known defects.
    """
    counts: Counter[str] = Counter()
    events: dict[Event, None] = {}
    for where, (name, onset, offset, label) in table_rows(path, "\t", _HEADER):
        if name in LOST:
            counts["lost"] += 1
            continue
        counts["renamed"] += name in RENAMED
        event = _event(where, RENAMED.get(name, name), onset, offset, label)
        if event[:2] not in clips:
            raise ManifestError(f"{where}, column 'filename': must name a clip of val or test, got {name!r}")
        if event.onset_s >= event.offset_s:
            counts["reversed"] += 1
        elif event in events:
            counts["doubled"] += 1
        else:
            events[event] = None
    return list(events), Repairs(*(counts[kind] for kind in ("renamed", "lost", "reversed", "doubled")))


def _event(where: str, name: str, onset: str, offset: str, label: str) -> Event:
    match = LLP_NAME.fullmatch(name)
    if match is None:
        raise ManifestError(f"{where}, column 'filename': must be <11 characters>_<start>_<end>, got {name!r}")
    if label not in LLP_PHRASES:
        raise ManifestError(f"{where}, column 'event_labels': there is no label {label!r}")
    onset_s, offset_s = _second(onset, f"{where}, column 'onset'"), _second(offset, f"{where}, column 'offset'")
    return Event(match["video"], float(match["start"]), onset_s, offset_s, label)


def _second(text: str, where: str) -> float:
    if not (text.isascii() and text.isdigit() and int(text) <= 10):
        raise ManifestError(f"{where}: must be a whole second from 0 to 10, got {text!r}")
    return float(text)


def events_content(by_modality: Mapping[str, Iterable[Event]]) -> bytes:
    """Return the file of all events, the same bytes on every machine: clip, modality, times in the clip, label."""
    lines = ["clip_id,modality,onset_s,offset_s,label"]
    for modality, events in by_modality.items():
        for event in events:
            clip = f"{event.video}_{int(event.start_s):06d}"
            lines.append(f"{clip},{modality},{event.onset_s:g},{event.offset_s:g},{event.label}")
    return ("\n".join(lines) + "\n").encode()
