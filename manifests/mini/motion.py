"""When things meet, and how they move in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2av_bench.manifests.mini.constants import CONTACT_S, DURATION_S, FRAME_TIMES_S
from t2av_bench.manifests.mini.exact import Float64s, smoothstep
from t2av_bench.manifests.mini.stream import Stream

_FIRST_S = 0.3  # room to see the approach
_LAST_S = 3.7  # room to hear the sound


class Beat(NamedTuple):
    """One stroke: when it is nearest, how strong it is in (0, 1], and whether it touches (else it is a feint)."""

    time_s: float
    strength: float
    touches: bool


def plan_beats(rng: Stream, max_events: int, min_gap_s: float = 0.52) -> tuple[Beat, ...]:
    """Draw strokes, regular or not; in two of five plans some are feints."""
    n_events = 1 + rng.integer(max_events)
    if n_events == 1 and max_events > 1:
        n_events = 1 + rng.integer(max_events)  # single events are rarer
    n_feints = 1 + rng.integer(2) if rng.chance(0.4) else 0
    room = int((_LAST_S - _FIRST_S) / min_gap_s)
    n_feints = min(n_feints, room - n_events)
    count = n_events + n_feints
    if rng.chance(0.5):
        period_s = rng.uniform(min_gap_s, min(1.3, (_LAST_S - _FIRST_S) / count))
        start_s = rng.uniform(_FIRST_S, _LAST_S - period_s * (count - 1))
        times = [start_s + period_s * i for i in range(count)]
    else:
        slack_s = _LAST_S - _FIRST_S - min_gap_s * (count - 1)
        offsets = sorted(rng.uniform(0.0, slack_s) for _ in range(count))
        times = [_FIRST_S + offset + min_gap_s * i for i, offset in enumerate(offsets)]
    feints = set(rng.sample(range(count), n_feints))
    return tuple(Beat(time_s, rng.uniform(0.5, 1.0), i not in feints) for i, time_s in enumerate(times))


def stroke_gap(
    beats: Sequence[Beat], approach_s: float = 0.2, hold_s: float = CONTACT_S, back_s: float = 0.3
) -> Float64s:
    """Distance of a striking body from its target at each frame, (100,): 1 at rest, 0 exactly while it touches.

    A stroke speeds up into the contact, and a stronger one is faster; a feint slows down and turns half-way.
    """
    gap: Float64s = np.ones(len(FRAME_TIMES_S))
    for beat in beats:
        since = FRAME_TIMES_S - beat.time_s
        before = -since / (approach_s * (1.5 - beat.strength))
        away = np.clip(np.where(since < 0, before, (since - hold_s) / back_s), 0.0, 1.0)
        reach = away * (2.0 - away) if beat.touches else 0.45 + 0.55 * smoothstep(away)
        gap = np.minimum(gap, reach)
    return gap


def plan_period(rng: Stream, low_s: float, high_s: float) -> tuple[float, ...]:
    """Draw the contacts of something periodic, including one before and one after the clip.

    No contact falls in the first 0.15 s or the last 0.2 s, where it could not be seen or heard properly.
    """
    while True:
        period_s = rng.uniform(low_s, high_s)
        first_s = rng.uniform(0.15, period_s - 2 * CONTACT_S)
        times = [first_s - period_s]
        while times[-1] < DURATION_S:
            times.append(times[-1] + period_s)
        if times[-2] < DURATION_S - 0.2:
            return tuple(times)


def between(contacts_s: Sequence[float]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Float64s]:
    """Where each frame lies between contacts that enclose the clip.

    Returns
    -------
    number : (100,)
        Index of the last contact at or before the frame.
    progress : (100,)
        0 while that contact lasts, then rising to 1 at the next.
    """
    contacts = np.asarray(contacts_s)
    number = np.searchsorted(contacts, FRAME_TIMES_S, side="right") - 1
    start = contacts[number] + CONTACT_S
    progress = np.maximum(FRAME_TIMES_S - start, 0.0) / (contacts[number + 1] - start)
    return number, np.asarray(progress)


def frame_at(time_s: float) -> int:
    """Return the first frame at or after a moment."""
    return int(np.searchsorted(FRAME_TIMES_S, time_s))
