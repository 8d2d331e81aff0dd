r"""Joint Fréchet distances of audio with its conditions: FAD, FAVD, FATD, FA(VT)D, raw and balanced.

Definition
----------
Each window of a clip is one row ``[audio ⊕ video ⊕ text]``. A joint distance is the squared Fréchet distance between
the rows with reference sound and the rows with generated sound, over the blocks in its name. Video and text are the
conditions a system was given, so they are the same on both sides. The source (arXiv:2403.07938) names the distances and
publishes no equations; this is the best-supported reading of it, and the only one with a public implementation (the
FAVD of Amazon's PEAVS toolkit, which stacks I3D and VGGish features per 0.96 s window).

It follows that FA(VT)D ≥ max(FAVD, FATD) ≥ FAD.

Balanced distances (``-b``)
---------------------------
A raw joint distance depends on the scale of each block, and with fewer windows than dimensions it turns into the
paired squared error of the audio, which rewards averaging. In the balanced distances the condition blocks are
projected on the reference's leading q = min(64, windows / 10) principal axes, then every block is scaled to a total
variance of 1. Both maps are fitted on the reference alone.

Alignment index
---------------
.. math:: 1 - \frac{\mathrm{FAVD_b} - \mathrm{FAD_b}}{\mathrm{FAVD_b^\perp} - \mathrm{FAD_b}}

1: the generated sound is as tied to the condition as the real sound is; 0: no better than random pairing; it may be
negative. The distance marked ⊥ is the one with random pairing, by one of two zero points:

``re-pairing``
    What ``evaluate`` uses: the mean over 8 random pairings of whole clips, seeded (:mod:`t2av_bench.metrics.pairing`).
    With few clips, chance ties sound to condition, in such a pairing as in any other set, so that a randomly paired set
    scores 0 also with 64 clips. The mini world's ``swapped`` set scores -0.09 ± 0.07: slightly below, because its
    sounds come from clips of other families, which a random pairing's need not.
``closed_form``
    Sets the covariance between generated sound and condition to zero. It needs no rows, only statistics, and is what
    the torchmetrics classes use. A random pairing of 64 clips scores -0.15 by it, ``swapped`` -0.32.

Differences from other implementations
--------------------------------------
PEAVS cuts both sides to the shorter one and puts the video first: equal for equal rows, as a Fréchet distance does not
depend on the order of features. No other public code computes FATD, FA(VT)D, the balanced distances or the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from t2av_bench.errors import MetricError
from t2av_bench.metrics.algebra import algebra
from t2av_bench.metrics.catalogue import MetricSpec
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.stats import Float64Array, JointStats, check_same_blocks

Null = Literal["closed_form", "re-pairing"]
MAX_AXES = 64
WINDOWS_PER_AXIS = 10


@dataclass(frozen=True)
class Balance:
    """The linear map of each block that makes joint distances comparable across extractors.

    Attributes
    ----------
    maps
        For each block a matrix of shape (dimension, kept axes), scaled so that the reference has a total variance of 1.
    axes
        Number of kept axes per block.
    """

    maps: dict[str, Float64Array]
    axes: dict[str, int]

    @classmethod
    def fit(cls, reference: JointStats) -> Balance:
        """Fit the maps on the reference's statistics.

        Raises
        ------
        MetricError
            If the audio block does not vary. A condition block without variance is mapped to a constant.
        """
        maps, axes = {}, {}
        for block, dim in reference.dims.items():
            stats = reference.select(block)
            if block == "audio":
                basis, variance = np.eye(dim), stats.total_variance
                if variance <= 0.0:
                    raise MetricError("the reference's audio features must vary; all its windows are the same")
            else:
                basis, variances = _leading_axes(stats, min(MAX_AXES, max(reference.n // WINDOWS_PER_AXIS, 1)))
                variance = float(variances.sum())
            scale = 1.0 / np.sqrt(variance) if variance > 0.0 else 0.0
            maps[block], axes[block] = basis * scale, basis.shape[1]
        return cls(maps, axes)

    def check(self, score: str, blocks: Sequence[str]) -> None:
        """Raise :class:`MetricError` if a score is undefined because one of its blocks does not vary."""
        dead = [block for block in blocks if not self.maps[block].any()]
        if dead:
            raise MetricError(f"{score} is undefined: the {dead[0]} features are the same in every window")

    def apply(self, stats: JointStats) -> JointStats:
        """Return the statistics in balanced coordinates."""
        return stats.project({block: self.maps[block] for block in stats.dims})


def alignment_index(
    reference: JointStats, generated: JointStats, *, null: Null = "closed_form", re_paired: Sequence[JointStats] = ()
) -> float:
    """Alignment index of audio with a condition, from balanced statistics over ``audio`` and one condition block.

    Parameters
    ----------
    reference, generated
        Balanced statistics.
    null
        What scores 0: ``closed_form`` (no covariance of generated audio and condition), or ``re-pairing`` (the mean of
        real random pairings of whole clips, which is nearly unbiased with few clips, too).
    re_paired
        With ``re-pairing``: statistics of the generated side, balanced, every clip's condition paired with another
        clip's sound (:func:`~t2av_bench.metrics.pairing.re_paired`).

    Returns
    -------
    float
        1: as tied to the condition as the reference; 0: as random pairing. Not bounded below.

    Raises
    ------
    MetricError
        If the reference's own audio does not covary with the condition, so that there is nothing to lose, or there are
        no re-pairings for ``re-pairing``.
    """
    return index_distances(reference, generated, null=null, re_paired=re_paired).alignment


class IndexDistances(NamedTuple):
    """The three balanced distances of an alignment index; see the module."""

    audio_only: float
    joint: float
    unpaired: float

    @property
    def alignment(self) -> float:
        """The alignment index."""
        return 1.0 - (self.joint - self.audio_only) / (self.unpaired - self.audio_only)


def index_distances(
    reference: JointStats, generated: JointStats, *, null: Null = "closed_form", re_paired: Sequence[JointStats] = ()
) -> IndexDistances:
    """Compute the distances that :func:`alignment_index` is made of, from the same arguments.

    Raises
    ------
    MetricError
        If the index is undefined.
    """
    check_same_blocks(reference, generated)
    audio_only = frechet_distance(reference.select("audio"), generated.select("audio"))
    joint = frechet_distance(reference, generated)
    if null == "closed_form":
        unpaired = frechet_distance(reference, generated.without_cross("audio"))
    else:
        if not re_paired:
            raise MetricError("the re-pairing zero point needs at least one re-pairing; got none")
        # Where clips have unequal numbers of windows, re-pairing changes the audio a little, and only that is undone.
        losses = [
            frechet_distance(reference, pairing) - frechet_distance(reference.select("audio"), pairing.select("audio"))
            for pairing in re_paired
        ]
        unpaired = audio_only + float(np.mean(losses))
    # Both balanced blocks have a total variance of 1, so this is a bound on an absolute scale.
    if unpaired - audio_only < 1e-9:
        raise MetricError("the index is undefined: the reference's audio does not covary with the condition")
    return IndexDistances(audio_only, joint, unpaired)


def joint_score(spec: MetricSpec, reference: JointStats, generated: JointStats, balance: Balance | None) -> float:
    """Compute one score from statistics that hold at least its blocks; an index by the closed form.

    Parameters
    ----------
    spec
        A Fréchet score; see :data:`~t2av_bench.metrics.METRICS`.
    reference, generated
        Statistics over the same blocks.
    balance
        Fitted on the reference; needed by balanced scores and indices.

    Raises
    ------
    MetricError
        If the score is undefined for these statistics; the message says why.
    """
    reference, generated = score_stats(spec, reference, balance), score_stats(spec, generated, balance)
    if spec.kind == "index":
        return alignment_index(reference, generated)
    return frechet_distance(reference, generated)


def score_stats(spec: MetricSpec, stats: JointStats, balance: Balance | None) -> JointStats:
    """Return the statistics a score is a formula of: over its own blocks, balanced unless it is raw.

    Raises
    ------
    MetricError
        If there is no balance for a balanced score, or a block of it does not vary.
    """
    chosen = stats.select(*spec.blocks)
    if spec.kind == "raw":
        return chosen
    if balance is None:
        raise MetricError(f"{spec.name} needs a Balance fitted on the reference")
    balance.check(spec.name, spec.blocks)
    return balance.apply(chosen)


def _leading_axes(stats: JointStats, count: int) -> tuple[Float64Array, Float64Array]:
    """Return the leading principal axes (d, axes) of statistics and their variances, none of them zero."""
    rows = stats.rows
    if rows is not None:
        _, singular, axes = algebra(min(rows.shape)).svd(rows - rows.mean(axis=0))
        variances, vectors = np.square(singular) / (stats.n - 1), axes.T
    else:
        count = min(count, stats.d)
        values, vectors = algebra(stats.d).eigenvectors(stats.covariance, leading=count)
        variances, vectors = values[::-1], vectors[:, ::-1]
    held = variances[:count] > variances[0] * np.finfo(np.float64).eps * stats.d
    if not held.any():
        return np.zeros((stats.d, 1)), np.zeros(1)
    return vectors[:, :count][:, held], variances[:count][held]
