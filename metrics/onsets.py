r"""Synchrony of events: onset accuracy and average precision, event F1, AV-Align.

Nothing here listens or watches: event times are given, in seconds. The reference (or the video) comes first.

Matching
--------
An event of one list may be paired with one of the other that is *less* than a tolerance away (differences equal to the
tolerance within 1 ns are not less). Pairings are one-to-one and as many as possible; every score below is made of their
number, so it does not depend on the order of events.

Onset accuracy and average precision
------------------------------------
CondFoleyGen's definition: generated onsets closer than 50 ms to a more confident one are dropped, accuracy is the share
of reference onsets that are matched (a recall), and average precision is the sum of precision x gain in recall as the
confidence threshold falls, where the hits at a threshold are the pairings of the onsets at or above it.

Empty lists
-----------
A score is None where it is not defined (accuracy and average precision without reference onsets) and 0 where nothing
was generated. Overlap and F1 are 1 where both lists are empty, as the sides agree, and 0 where one of them is: count
the clips without any event before reading a mean.

Differences from other implementations
--------------------------------------
CondFoleyGen (c565db7) credits each missed reference onset at a confidence of 0, so that it adds
(missed / reference) · reference / (reference + false) to the average precision, up to 1.0 for no output at all; stops
matching when its candidates are used up; drops too few close neighbours, as it removes from the list it walks; raises
ValueError for an onset in the first 50 ms; and calls the accuracy of no reference onsets 0. None of this is done here;
without these cases both agree exactly on the lists it was run on for the tests. It pairs greedily, which may lose a
match in chains of close onsets; so does TempoTokens' AV-Align, which also divides by zero without peaks. mir_eval's
F-measure counts a difference equal to the tolerance and is 0 for two empty lists.

References
----------
Du et al., Conditional generation of audio from video via foley analogies, 2023, arXiv:2304.08490; Yariv et al., Diverse
and aligned audio-to-video generation, 2023, arXiv:2309.16429 (AV-Align).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_vector
from t2av_bench.metrics.stats import Float64Array

_ROUNDING = 1e-9  # seconds


class OnsetScores(NamedTuple):
    """Scores of one clip's onsets; see the module.

    Attributes
    ----------
    accuracy, average_precision
        From 0 to 1, higher is better; None without reference onsets.
    same_count
        Whether there are as many generated onsets, close ones dropped, as reference onsets.
    """

    accuracy: float | None
    average_precision: float | None
    same_count: bool


class EventScores(NamedTuple):
    """Agreement of two lists of events.

    Attributes
    ----------
    f1
        2 · hits / (reference_n + generated_n), from 0 to 1.
    hits, reference_n, generated_n
        Number of pairings and of events; add them up over clips for a score that weighs events equally.
    """

    f1: float
    hits: int
    reference_n: int
    generated_n: int


def count_matches(reference: npt.ArrayLike, generated: npt.ArrayLike, tolerance: float) -> int:
    """Count the most one-to-one pairings of events that are less than a tolerance apart.

    Parameters
    ----------
    reference, generated
        Event times in seconds, shapes (n,) and (m,), in any order.
    tolerance
        In seconds.

    Raises
    ------
    MetricError
        If a time is not finite, a list is not one-dimensional or the tolerance is not above zero.

    Examples
    --------
    >>> count_matches([1.0, 1.08], [1.05, 1.12, 3.0], 0.1)
    2
    """
    _check_positive(tolerance, "tolerance")
    first, second = checked_vector(reference, "reference"), checked_vector(generated, "generated")
    return _matches(np.sort(first), np.sort(second), tolerance)


def onset_scores(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    confidence: npt.ArrayLike,
    *,
    tolerance: float = 0.1,
    min_gap: float = 0.05,
) -> OnsetScores:
    """Onset accuracy and average precision of one clip.

    Parameters
    ----------
    reference, generated
        Onset times in seconds, shapes (n,) and (m,).
    confidence
        Of each generated onset, shape (m,), such as
        :func:`~t2av_bench.metrics.envelopes.peak_confidence`; only its order counts.
    tolerance
        Largest difference of a match, in seconds, itself excluded.
    min_gap
        Of two generated onsets closer than this, in seconds, the less confident is dropped; of equally confident ones
        the later.

    Raises
    ------
    MetricError
        If shapes do not fit or a value is not finite.

    Examples
    --------
    >>> onset_scores([1.0, 2.0], [1.02, 3.0], [0.9, 0.5])
    OnsetScores(accuracy=0.5, average_precision=0.5, same_count=True)
    """
    _check_positive(tolerance, "tolerance")
    targets, times = np.sort(checked_vector(reference, "reference")), checked_vector(generated, "generated")
    weights = checked_vector(confidence, "confidence")
    if len(weights) != len(times):
        raise MetricError(f"`confidence` must give one value per generated onset, {len(times)}; got {len(weights)}")
    times, weights = _without_neighbours(times, weights, min_gap)
    if len(targets) == 0:
        return OnsetScores(None, None, len(times) == 0)
    hits, precision_sum = 0, 0.0
    for threshold in np.unique(weights)[::-1]:
        kept = np.sort(times[weights >= threshold])
        found = _matches(targets, kept, tolerance)
        precision_sum += (found - hits) * found / len(kept)
        hits = found
    return OnsetScores(hits / len(targets), precision_sum / len(targets), len(times) == len(targets))


def event_f1(reference: npt.ArrayLike, generated: npt.ArrayLike, *, tolerance: float = 0.05) -> EventScores:
    """F1 of generated events against known event times.

    Parameters
    ----------
    reference, generated
        Event times in seconds, shapes (n,) and (m,).
    tolerance
        Largest difference of a match, in seconds, itself excluded.

    Raises
    ------
    MetricError
        As :func:`count_matches`.

    Examples
    --------
    >>> event_f1([1.0, 2.0], [1.01, 2.5, 3.0]).f1
    0.4
    """
    hits = count_matches(reference, generated, tolerance)
    sizes = np.size(reference), np.size(generated)
    return EventScores(2.0 * hits / sum(sizes) if sum(sizes) else 1.0, hits, *sizes)


def av_align(video_peaks: npt.ArrayLike, audio_peaks: npt.ArrayLike, *, fps: float) -> float:
    """AV-Align: intersection over union of video and audio peaks, matched within one video frame.

    Parameters
    ----------
    video_peaks, audio_peaks
        Times in seconds, shapes (n,) and (m,).
    fps
        Frames per second of the video.

    Returns
    -------
    float
        From 0 to 1, higher is better; 1 where there is no peak on either side, 0 where there is one side's only. The
        value of one clip says little: report means over a set, next to those of shuffled pairs.

    Raises
    ------
    MetricError
        If ``fps`` is not above zero or a time is not finite.

    Examples
    --------
    >>> av_align([1.0, 2.0], [1.01], fps=25), av_align([], [], fps=25)
    (0.5, 1.0)
    """
    _check_positive(fps, "fps")
    hits = count_matches(video_peaks, audio_peaks, 1.0 / fps)
    union = np.size(video_peaks) + np.size(audio_peaks) - hits
    return hits / union if union else 1.0


def _matches(first: Float64Array, second: Float64Array, tolerance: float) -> int:
    """Count pairings of sorted times. Pairing the earliest two that fit, again and again, never costs a later one."""
    i = j = hits = 0
    while i < len(first) and j < len(second):
        difference = second[j] - first[i]
        if abs(difference) < tolerance - _ROUNDING:
            i, j, hits = i + 1, j + 1, hits + 1
        elif difference > 0:
            i += 1
        else:
            j += 1
    return hits


def _without_neighbours(
    times: Float64Array, weights: Float64Array, min_gap: float
) -> tuple[Float64Array, Float64Array]:
    """Keep the most confident times first, and of the others those far enough from all kept ones."""
    kept: list[int] = []
    for index in np.lexsort((times, -weights)):
        if all(abs(times[index] - times[other]) >= min_gap - _ROUNDING for other in kept):
            kept.append(int(index))
    return times[kept], weights[kept]


def _check_positive(value: float, name: str) -> None:
    if not 0.0 < value < np.inf:
        raise MetricError(f"`{name}` must be above zero and finite; got {value}")
