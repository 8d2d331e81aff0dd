r"""Envelopes: confidence of onsets, and the offset between a sound and what it should go with.

Envelopes are given, as equally spaced values at times 0, 1 / rate, …: onset strength of a sound, motion energy of a
video, an absolute waveform. The reference (or the video) comes first.

Offset
------
With both envelopes centred, a of the reference and b of the generated side,

.. math:: r(k) = \frac{\sum_t a_t\, b_{t+k}}{\lVert a \rVert \lVert b \rVert}

from -1 to 1; the offset is the k of the largest r. Values outside the clip count as the mean, so large offsets, over
which less of the clips overlaps, have to fit better to win. The confidence is the largest r minus the median over all
k, after SyncNet's (which has distances between embeddings in the place of r). Sounds that repeat regularly fit at
several offsets: the smallest usually wins, right or wrong, and the confidence is not lower for it.

References
----------
Chung and Zisserman, Out of time: automated lip sync in the wild, 2016.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_vector
from t2av_bench.metrics.stats import Float64Array


class EnvelopeOffset(NamedTuple):
    """Where two envelopes agree best; see :func:`envelope_offset`.

    Attributes
    ----------
    offset
        In seconds; above zero where the generated envelope is late.
    confidence
        Correlation there minus the median over all offsets: near 0 if no offset stands out, at most 2.
    correlation
        At the best offset, from -1 to 1.
    """

    offset: float
    confidence: float
    correlation: float


def envelope_offset(
    reference: npt.ArrayLike, generated: npt.ArrayLike, *, rate: float, max_offset: float = 1.0
) -> EnvelopeOffset:
    """Offset at which two envelopes agree best, by cross-correlation.

    Parameters
    ----------
    reference, generated
        Envelopes of the same length and rate, shape (samples,).
    rate
        Samples per second; the offset's resolution is 1 / rate.
    max_offset
        Largest offset tried, in seconds, to both sides; less than the length.

    Returns
    -------
    EnvelopeOffset
        Independent of the scale and level of either envelope. Exchanging the sides changes the sign of the offset.

    Raises
    ------
    MetricError
        If an envelope is constant, lengths differ, a value is not finite, or ``max_offset`` is out of range.

    Examples
    --------
    >>> envelope_offset([0, 9, 0, 0, 0, 0], [0, 0, 0, 4, 0, 0], rate=10, max_offset=0.3).offset
    0.2
    """
    correlations = correlation_by_offset(reference, generated, rate=rate, max_offset=max_offset)
    return best_offset(correlations, rate=rate)


def correlation_by_offset(
    reference: npt.ArrayLike, generated: npt.ArrayLike, *, rate: float, max_offset: float = 1.0
) -> Float64Array:
    """Correlation of two envelopes at every offset up to a largest one; the curve that :func:`envelope_offset` reads.

    Parameters
    ----------
    reference, generated, rate, max_offset
        As in :func:`envelope_offset`.

    Returns
    -------
    ndarray
        r(k) for k = -reach … reach, shape (2 · reach + 1,), from -1 to 1. The mean of the curves of many clips shows an
        offset that they have in common, which single clips hardly do.

    Raises
    ------
    MetricError
        As :func:`envelope_offset`.

    Examples
    --------
    >>> correlation_by_offset([0, 9, 0, 0], [0, 0, 4, 0], rate=10, max_offset=0.2).round(2).tolist()
    [0.17, -0.42, -0.33, 0.92, -0.5]
    """
    sides = checked_vector(reference, "reference"), checked_vector(generated, "generated")
    if len(sides[0]) != len(sides[1]):
        raise MetricError(f"both envelopes must have the same length; got {len(sides[0])} and {len(sides[1])}")
    if not 0.0 < rate < np.inf:
        raise MetricError(f"`rate` must be above zero and finite; got {rate}")
    n, reach = len(sides[0]), round(max_offset * rate)
    if not 1 <= reach < n:
        raise MetricError(
            f"`max_offset` must be from one sample to less than the length, {n / rate:g} s; got {max_offset}"
        )
    a, b = (_normed(values, name) for values, name in zip(sides, ("reference", "generated"), strict=True))
    return np.asarray(np.correlate(b, a, mode="full")[n - 1 - reach : n + reach])


def best_offset(correlations: npt.ArrayLike, *, rate: float) -> EnvelopeOffset:
    """Read offset and confidence from a curve of :func:`correlation_by_offset`, or from the mean of several.

    Parameters
    ----------
    correlations
        r(k) for k = -reach … reach, shape (2 · reach + 1,).
    rate
        Samples per second.

    Examples
    --------
    >>> best_offset([0.0, 0.25, 0.0, 0.75, 0.25], rate=10)
    EnvelopeOffset(offset=0.1, confidence=0.5, correlation=0.75)
    """
    curve = checked_vector(correlations, "correlations")
    best = int(np.argmax(curve))
    peak = float(curve[best])
    return EnvelopeOffset((best - len(curve) // 2) / rate, peak - float(np.median(curve)), peak)


def resampled(envelope: npt.ArrayLike, rate: float, new_rate: float, samples_n: int) -> Float64Array:
    """Read an envelope at another rate, between its samples in proportion; after its last sample it stays there.

    Parameters
    ----------
    envelope
        Values at times 0, 1 / rate, …, shape (samples,).
    rate, new_rate
        Samples per second.
    samples_n
        Length of the result.

    Examples
    --------
    >>> resampled([0.0, 4.0], 1, 4, 6).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]
    """
    values = checked_vector(envelope, "envelope")
    return np.asarray(np.interp(np.arange(samples_n) / new_rate, np.arange(len(values)) / rate, values))


def peak_confidence(envelope: npt.ArrayLike, times: npt.ArrayLike, rate: float, *, reach: float = 0.05) -> Float64Array:
    """Largest value of an envelope around each time, as CondFoleyGen's confidence of an onset.

    Parameters
    ----------
    envelope
        Values at times 0, 1 / rate, …, shape (samples,), such as the absolute waveform.
    times
        In seconds, shape (m,); within the envelope.
    rate
        Samples per second.
    reach
        To both sides, in seconds; cut off at the ends of the envelope.

    Returns
    -------
    ndarray
        Shape (m,), in the unit of the envelope.

    Raises
    ------
    MetricError
        If a time lies outside the envelope or a value is not finite.

    Examples
    --------
    >>> peak_confidence([0.0, 3.0, 0.0, 1.0], [0.0, 0.2], rate=10, reach=0.1).tolist()
    [3.0, 3.0]
    """
    values, moments = checked_vector(envelope, "envelope"), checked_vector(times, "times")
    centres = np.rint(moments * rate).astype(np.intp)
    if len(centres) and not (centres.min() >= 0 and centres.max() < len(values)):
        raise MetricError(f"`times` must lie within the envelope of {len(values) / rate:g} s; got {moments}")
    width = int(reach * rate)
    return np.array([values[max(c - width, 0) : c + width + 1].max() for c in centres], dtype=np.float64)


def _normed(values: Float64Array, name: str) -> Float64Array:
    if np.ptp(values) == 0.0:
        raise MetricError(f"the envelope `{name}` must vary; all its values are {values[0]:g}")
    centred = values - values.mean()
    return np.asarray(centred / np.linalg.norm(centred))
