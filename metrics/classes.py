r"""Scores from the logits of a sound classifier: inception score, and divergence of classes from the reference.

Inception score
---------------
.. math:: \mathrm{IS} = \exp \frac{1}{n}\sum_i \mathrm{KL}(p_i \Vert \bar p), \qquad p_i = \operatorname{softmax}(l_i)

over each of ``splits`` equal parts of the shuffled rows; the score is the mean over the parts. It needs no reference,
and sees no video: a system that ignores its input may score well.

Class divergence ("KL")
-----------------------
KL(reference ‖ generated) between a generated clip and the reference clip of the same video, averaged over clips, in
nats. Three forms, since the classifiers in use have many labels per clip:

softmax
    :math:`\sum_c p_c \ln (p_c / q_c)` of softmax probabilities: at least 0. The usual one.
sigmoid
    The same sum over sigmoid probabilities, as other toolkits report it. These do not add up to one, so it is no
    divergence: it may be negative, and is 0 for other than equal logits too.
bernoulli
    :math:`\sum_c p_c \ln (p_c / q_c) + (1 - p_c) \ln ((1 - p_c) / (1 - q_c))` of sigmoid probabilities: what the
    sigmoid form lacks to be a divergence; at least 0.

Everything is computed in float64 from logarithms of probabilities, so no ε is needed and none is added.

Differences from other implementations
--------------------------------------
av-benchmark and audioldm_eval compute the same inception score (both after torch-fidelity; equal within 1e-9 with
their 10 splits, seed 2020). av-benchmark's KL has no ε either: equal within 1e-6 (its sums are float32).
audioldm_eval adds 1e-6 to the generated probability inside the logarithm, which lowers the softmax form by 0.3 % on the
arrays it was tested on here; ``epsilon=1e-6`` reproduces it.

References
----------
Salimans et al., Improved techniques for training GANs, 2016, arXiv:1606.03498.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import StoredRows, checked_rows, checked_sides
from t2av_bench.metrics.stats import Float64Array

Form = Literal["softmax", "sigmoid", "bernoulli"]


class InceptionScore(NamedTuple):
    """An inception score and how it came about.

    Attributes
    ----------
    mean, std
        Over the splits; the standard deviation divides by their number and is no standard error of the score.
    splits
        Number of parts. Fewer rows per part give a lower score: compare only equal ``splits`` and ``n``.
    seed
        Of the shuffle; None if the rows were left in order.
    n
        Number of rows.
    """

    mean: float
    std: float
    splits: int
    seed: int | None
    n: int


class ClassDivergence(NamedTuple):
    """Divergence of the generated classes from the reference's, in nats.

    Attributes
    ----------
    mean
        Over clips.
    per_clip
        Of each clip, shape (n,).
    form, epsilon
        As asked for.
    """

    mean: float
    per_clip: Float64Array
    form: Form
    epsilon: float


def inception_score(logits: npt.ArrayLike | StoredRows, *, splits: int = 10, seed: int | None = 2020) -> InceptionScore:
    """Inception score of generated sounds.

    Parameters
    ----------
    logits
        Array of shape (n, classes), at least ``splits`` rows; or rows that are stored elsewhere, of which one part is
        held at a time.
    splits
        Number of parts.
    seed
        Of the shuffle before splitting, drawn by NumPy's legacy generator as in torch-fidelity so that scores can be
        compared; None splits the rows as they come. The value depends on the order of rows unless ``splits`` is 1.

    Returns
    -------
    InceptionScore
        Its ``mean`` is from 1 (all rows alike) to the number of classes; higher is better.

    Raises
    ------
    MetricError
        If there are fewer rows than splits or a logit is not finite.

    Examples
    --------
    >>> round(inception_score([[50.0, 0.0], [0.0, 50.0]], splits=1).mean, 6)
    2.0
    """
    rows, _ = checked_rows(logits, logits, least_n=1)
    scores = [_inception_of(rows[part]) for part in _parts(len(rows), splits, seed)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits, seed, len(rows))


def inception_contributions(
    logits: npt.ArrayLike | StoredRows, *, splits: int = 10, seed: int | None = 2020
) -> Float64Array:
    """Return what each generated sound adds to the inception score: by how much it would be lower without it.

    Parameters
    ----------
    logits, splits, seed
        As for :func:`inception_score`; at least two rows per part.

    Returns
    -------
    numpy.ndarray, shape (n,)
        In the unit of the score; those of a part add up to zero. By leaving out each row in turn (jackknife). The
        standard error that follows (:func:`~t2av_bench.metrics.uncertainty.contributions_stderr`) is within 15 % of the
        spread in simulation (``benchmarks/companion_errors.py``).

    Raises
    ------
    MetricError
        If there are fewer than two rows per part or a logit is not finite.
    """
    rows, _ = checked_rows(logits, logits, least_n=1)
    parts = _parts(len(rows), splits, seed)
    if min(map(len, parts)) < 2:
        raise MetricError(f"contributions need at least 2 rows in each of {splits} parts; got {len(rows)}")
    found = np.empty(len(rows))
    for part in parts:
        without = _inception_without_each(rows[part])
        found[part] = (without.mean() - without) * (1.0 - 1.0 / len(part)) / splits
    return found


def class_divergence(
    reference: npt.ArrayLike, generated: npt.ArrayLike, *, form: Form = "softmax", epsilon: float = 0.0
) -> ClassDivergence:
    """KL(reference ‖ generated) of the classes of paired clips.

    Parameters
    ----------
    reference, generated
        Logits, arrays of shape (n, classes): one row per clip, in the same order.
    form
        See the module.
    epsilon
        Added to the generated probability inside the logarithm; 1e-6 reproduces audioldm_eval (not for ``bernoulli``).

    Returns
    -------
    ClassDivergence
        In nats; lower is better. Directed: exchanging the sides gives another value.

    Raises
    ------
    MetricError
        If shapes differ, there are no rows, a logit is not finite, or the form is unknown.

    Examples
    --------
    >>> round(class_divergence(np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])).mean, 4)
    0.5108
    """
    p_logits, q_logits = checked_sides(reference, generated, least_n=1)
    if len(p_logits) != len(q_logits):
        raise MetricError(
            f"`reference` and `generated` must be paired, row by row; got {len(p_logits)} and {len(q_logits)} rows"
        )
    if form not in ("softmax", "sigmoid", "bernoulli"):
        raise MetricError(f"`form` must be softmax, sigmoid or bernoulli; got {form!r}")
    if epsilon < 0.0 or (epsilon > 0.0 and form == "bernoulli"):
        raise MetricError(f"`epsilon` must be at least 0, and 0 for the form bernoulli; got {epsilon}")
    log_p, log_q = (_log_probabilities(logits, form) for logits in (p_logits, q_logits))
    if epsilon > 0.0:
        log_q = np.logaddexp(log_q, np.log(epsilon))
    per_clip = _information(log_p, log_q)
    if form == "bernoulli":
        per_clip = per_clip + _information(special.log_expit(-p_logits), special.log_expit(-q_logits))
    return ClassDivergence(float(per_clip.mean()), per_clip, form, epsilon)


def _parts(rows_n: int, splits: int, seed: int | None) -> list[npt.NDArray[np.intp]]:
    """Return the places of the rows of each part."""
    if not 1 <= splits <= rows_n:
        raise MetricError(f"`splits` must be from 1 to the number of rows, {rows_n}; got {splits}")
    order = np.arange(rows_n) if seed is None else np.random.RandomState(seed).permutation(rows_n)
    return np.split(order, [split * rows_n // splits for split in range(1, splits)])


def _inception_without_each(logits: Float64Array) -> Float64Array:
    """Inception score of all rows but one, for each row, shape (n,): entropy of the mean minus mean of entropies."""
    p, rest = special.softmax(logits, axis=1), len(logits) - 1
    entropies = special.entr(p).sum(axis=1)
    mean = np.maximum(p.sum(axis=0) - p, 0.0) / rest
    return np.asarray(np.exp(special.entr(mean).sum(axis=1) - (entropies.sum() - entropies) / rest))


def _inception_of(logits: Float64Array) -> float:
    log_p = special.log_softmax(logits, axis=1)
    log_mean = special.logsumexp(log_p, axis=0) - np.log(len(log_p))
    return float(np.exp(_information(log_p, log_mean).mean()))


def _log_probabilities(logits: Float64Array, form: Form) -> Float64Array:
    return np.asarray(special.log_softmax(logits, axis=1) if form == "softmax" else special.log_expit(logits))


def _information(log_p: Float64Array, log_q: Float64Array) -> Float64Array:
    """Sum p ln(p / q) over classes, shape (n,)."""
    return np.asarray((np.exp(log_p) * (log_p - log_q)).sum(axis=1))
