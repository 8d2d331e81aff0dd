r"""Onset scores and AV-Align exactly as CondFoleyGen and TempoTokens compute them, faults included.

For comparison with published tables only; :mod:`t2av_bench.metrics.onsets` holds the same scores without the faults.

=============  =======================================================================================================
project        what its code does
=============  =======================================================================================================
CondFoleyGen   Times are samples at 22,050 Hz. Of generated onsets within 50 ms of a more confident one every *second*
               one is dropped, as the list is changed while it is walked. Reference onsets take the highest candidate
               in reach, in their order, and stop when none is left. A missed onset is credited at confidence 0, so that
               average precision is 1.0 for no output at all; the onsets not reached any more are not counted. The
               accuracy is a recall, and 0 without reference onsets. A generated onset in the first 50 ms stops the
               program, as its confidence is the maximum of an empty slice.
TempoTokens    A video peak is a strict local maximum of at least 0.1 pixels. Sound peaks take the first free video peak
               less than a frame away, in their order. Without any peak the program divides by zero.
=============  =======================================================================================================

Where the program stops, the functions raise, and a score over clips leaves the clip out and counts it.

References
----------
XYPB/CondFoleyGen c565db7 ``predict_onset.py``; guyyariv/TempoTokens bf0b1e3 ``av_align.py``. Held to the values of that
code in ``tests/metrics/test_onset_conventions.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError

CONDFOLEYGEN_SR_HZ = 22_050
_LEAST_FLOW = 0.1  # pixels


class CondFoleyGenScores(NamedTuple):
    """Scores of one clip; see the module.

    Attributes
    ----------
    accuracy, average_precision
        From 0 to 1.
    matched
        Of each generated onset that was kept, in time order.
    """

    accuracy: float
    average_precision: float
    matched: list[bool]


def condfoleygen_scores(
    targets: Sequence[int],
    onsets: Sequence[int],
    heights: npt.NDArray[np.floating],
    confidence: npt.NDArray[np.floating],
    *,
    tolerance_s: float = 0.1,
) -> CondFoleyGenScores:
    """Onset accuracy and average precision of one clip.

    Parameters
    ----------
    targets, onsets
        Reference and generated onsets in samples at 22,050 Hz, ascending.
    heights, confidence
        Of each generated onset: the magnitude of the waveform there, and its maximum within 50 ms, both relative to the
        waveform's own range; NaN where there is no such maximum.
    tolerance_s
        A pair is less than this apart.

    Raises
    ------
    MetricError
        Where the project's program stops: an onset in the first 50 ms, or no onset on either side.

    Examples
    --------
    >>> condfoleygen_scores([9000, 18000], [], np.zeros(0), np.zeros(0)).average_precision  # nothing was generated
    1.0
    """
    if np.isnan(confidence).any():
        raise MetricError("a generated onset lies in the first 50 ms, where CondFoleyGen's program stops")
    if len(targets) == 0 and len(onsets) == 0:
        raise MetricError("there is no onset on either side, where CondFoleyGen's program stops")
    kept = _suppressed(onsets, confidence)
    free = list(kept)
    truths: list[int] = []
    ranks: list[float] = []
    for target in targets:
        near = [index for index in free if abs(onsets[index] - target) < tolerance_s * CONDFOLEYGEN_SR_HZ]
        truths.append(1)
        if not near:
            ranks.append(0.0)
            continue
        best = near[int(np.argsort([heights[index] for index in near])[-1])]
        ranks.append(float(confidence[best]))
        free.remove(best)
        if not free:
            break
    truths += [0] * len(free)
    ranks += [float(confidence[index]) for index in free]
    hits = len(kept) - len(free)
    accuracy = hits / len(targets) if len(targets) else 0.0
    return CondFoleyGenScores(accuracy, _average_precision(truths, ranks), [index not in free for index in kept])


def tempotokens_video_peaks(flow: Sequence[float] | npt.NDArray[np.floating], fps: float) -> list[float]:
    """Return the times in seconds of the peaks of a flow trajectory, which has one value in pixels per frame.

    Examples
    --------
    >>> tempotokens_video_peaks([0.0, 0.5, 0.0, 0.09, 0.0, 0.3, 0.3, 0.0], 10.0)
    [0.1]
    """
    return [i / fps for i in range(1, len(flow) - 1) if flow[i - 1] < flow[i] > flow[i + 1] and flow[i] >= _LEAST_FLOW]


def tempotokens_av_align(video_peaks: Sequence[float], audio_peaks: Sequence[float], fps: float) -> float:
    """AV-Align of one clip: intersection over union of peaks, times in seconds.

    Raises
    ------
    MetricError
        Where the project's program stops: there is no peak on either side.

    Examples
    --------
    >>> tempotokens_av_align([1.0, 2.0], [1.01], 25.0)
    0.5
    """
    free = list(video_peaks)
    hits = 0
    for sound in audio_peaks:
        near = next((peak for peak in free if peak - 1 / fps < sound < peak + 1 / fps), None)
        if near is not None:
            free.remove(near)
            hits += 1
    union = len(audio_peaks) + len(video_peaks) - hits
    if union == 0:
        raise MetricError("there is no peak on either side, where TempoTokens divides by zero")
    return hits / union


def _suppressed(onsets: Sequence[int], confidence: npt.NDArray[np.floating]) -> list[int]:
    """Return the places of the onsets that survive, ascending; an onset behind a dropped one is not looked at."""
    left = list(range(len(onsets)))
    kept = []
    for index in np.argsort(confidence)[::-1]:
        if index not in left:
            continue
        kept.append(int(index))
        left.remove(index)
        place = 0
        while place < len(left):
            if abs(onsets[index] - onsets[left[place]]) < 0.05 * CONDFOLEYGEN_SR_HZ:
                del left[place]
            place += 1
    return sorted(kept)


def _average_precision(truths: Sequence[int], ranks: Sequence[float]) -> float:
    """Sum of precision times gain in recall over falling thresholds; 0 without anything true."""
    true, rank = np.array(truths, dtype=np.float64), np.array(ranks)
    if not true.any():
        return 0.0
    total, found = 0.0, 0.0
    for threshold in np.unique(rank)[::-1]:
        hits = true[rank >= threshold].sum()
        total += (hits - found) * hits / (rank >= threshold).sum()
        found = hits
    return float(total / true.sum())
