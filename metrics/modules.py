"""Scores as torchmetrics objects over embeddings: fed batch by batch, added up across processes.

:class:`FrechetScore`, :class:`AlignmentIndex` and :class:`KernelScore` take ready embeddings. The classes named after
the scores, which also take sound, frames and captions, are in :mod:`t2av_bench.torchmetrics`. The functions of this
package compute the values; only the counting is done in torch, on the metric's device.

States
------
A Fréchet score keeps rows while they are no more than dimensions, and one float64 matrix of count, mean and scatter per
side from then on, shape (d + 1, d + 1), however many rows there are: exact in either form, as
:class:`~t2av_bench.metrics.JointStats`. The matrices of batches and of processes are added up
(:mod:`t2av_bench.metrics.states`). A kernel score, and any score with ``stderr=True``, keep all rows, float64. All
states are persistent: ``state_dict`` holds them, and a fresh object that loads them goes on from there.

References
----------
Detlefsen et al., TorchMetrics - measuring reproducibility in PyTorch, JOSS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2av_bench.errors import UsageError
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.groups import halves_of
from t2av_bench.metrics.halves import frechet_contributions
from t2av_bench.metrics.index_influence import alignment_index_influence
from t2av_bench.metrics.joint import alignment_index
from t2av_bench.metrics.kernel import STDERR_CLIPS, kernel_distance
from t2av_bench.metrics.states import SideRows
from t2av_bench.metrics.stats import JointStats
from t2av_bench.metrics.streaming import EmbeddingScore, Side
from t2av_bench.metrics.uncertainty import clip_contributions, clustered_stderr, contributions_stderr, second_order


class FrechetScore(EmbeddingScore):
    """A squared Fréchet distance over one or more blocks: FAD, FAVD, FATD, FA(VT)D, raw or balanced.

    Parameters
    ----------
    dims
        Dimension of each block, in order: ``{"audio": 128, "video": 4096}`` for FAVD.
    balanced
        Whether in balanced coordinates (:class:`~t2av_bench.metrics.Balance`), fitted on the reference.
    **options
        ``reference``, ``stderr``, ``reset_real_features`` and torchmetrics' own; see :class:`EmbeddingScore`.

    Examples
    --------
    >>> metric = FrechetScore({"audio": 1})
    >>> metric.update([[-1.0], [1.0]], real=True)
    >>> metric.update([[2.0], [4.0]])
    >>> metric.compute()
    tensor(9., dtype=torch.float64)
    """

    def __init__(self, dims: Mapping[str, int], *, balanced: bool = False, **options: Any) -> None:
        super().__init__(dims, coordinates="balanced" if balanced else "raw", **options)

    def _score(self, reference: Side, generated: Side) -> tuple[float, float | None]:
        if not (isinstance(reference, SideRows) and isinstance(generated, SideRows)):
            assert isinstance(reference, JointStats)
            assert isinstance(generated, JointStats)
            return frechet_distance(reference, generated), None
        value = frechet_distance(reference.stats, generated.stats)
        found = frechet_contributions(reference.rows, generated.rows, reference.clips, generated.clips)
        if found.own_half is None:
            return value, contributions_stderr(found.values)
        return value, second_order(found.values, found.own_half).stderr


class AlignmentIndex(EmbeddingScore):
    """The alignment index of audio with video or text: 1 as tied to it as real sound is, 0 as random pairing.

    By the closed form of random pairing, which needs no rows; ``evaluate`` uses re-pairing. They differ where clips are
    few: a random pairing of 64 clips scores -0.15 here and -0.02 there, of 2,000 -0.01 and 0.00
    (:mod:`t2av_bench.metrics.pairing`).

    Parameters
    ----------
    dims
        Dimension of ``audio`` and of one condition.
    **options
        As for :class:`FrechetScore`.
    """

    higher_is_better = True

    def __init__(self, dims: Mapping[str, int], **options: Any) -> None:
        if list(dims)[:1] != ["audio"] or len(dims) != 2:
            raise UsageError(f"an alignment index is over audio, first, and one condition; got {', '.join(dims)}")
        super().__init__(dims, coordinates="balanced", **options)

    def _score(self, reference: Side, generated: Side) -> tuple[float, float | None]:
        if not (isinstance(reference, SideRows) and isinstance(generated, SideRows)):
            assert isinstance(reference, JointStats)
            assert isinstance(generated, JointStats)
            return alignment_index(reference, generated), None
        value = alignment_index(reference.stats, generated.stats)
        influence = alignment_index_influence(reference.rows, generated.rows, reference.dims["audio"])
        return value, clustered_stderr(influence, reference.clips, generated.clips)


class KernelScore(EmbeddingScore):
    """The kernel distance (KAD), plain over audio alone and balanced over joint blocks.

    The state is all rows: an unbiased squared MMD is no function of sums. (Random Fourier features would make it one,
    with an error of the order of the distances that are to be told apart.) Of more than 4096 reference rows,
    the bandwidth is the median distance of 4096 drawn ones, whatever the order and the number of processes.

    Where the clip of every row is known, pairs of rows of one clip are left out, as in ``evaluate``: without
    ``clip_ids`` the conditions that both sides share bias a joint distance downwards.

    Parameters
    ----------
    dims
        As for :class:`FrechetScore`.
    bandwidth, seed
        As for :func:`~t2av_bench.metrics.kernel_distance`.
    **options
        As for :class:`FrechetScore`; a ``reference`` must be rows.
    """

    needs_rows = True

    def __init__(
        self, dims: Mapping[str, int], *, bandwidth: float | None = None, seed: int = 0, **options: Any
    ) -> None:
        self.bandwidth, self.seed = bandwidth, seed
        super().__init__(dims, coordinates="raw" if list(dims) == ["audio"] else "balanced", **options)

    def _score(self, reference: Side, generated: Side) -> tuple[float, float | None]:
        assert isinstance(reference, SideRows)
        assert isinstance(generated, SideRows)
        clips = (reference.clips, generated.clips) if reference.has_clips and generated.has_clips else None
        both = np.concatenate([reference.clips, generated.clips])
        numbers, places = np.unique(both, return_inverse=True)
        halves = halves_of(numbers, self.seed) if clips and self.stderr else None
        by_row = None if halves is None else np.split(halves[places], [len(reference.clips)])
        found = kernel_distance(
            reference.rows,
            generated.rows,
            bandwidth=self.bandwidth,
            seed=self.seed,
            clips=clips,
            halves=None if by_row is None else (by_row[0], by_row[1]),
        )
        if not self.stderr or min(len(np.unique(side.clips)) for side in (reference, generated)) < STDERR_CLIPS:
            return found.value, None
        first = clip_contributions(found.influence, reference.clips, generated.clips).values
        if found.own_half is None:
            return found.value, contributions_stderr(first)
        own = clip_contributions(found.own_half, reference.clips, generated.clips).values
        return found.value, second_order(first, own).stderr
