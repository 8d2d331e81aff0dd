"""What metric objects keep between batches, in torch: moments that add up exactly, or rows with their clips.

The moments of rows are one matrix ``[[n, meanᵀ], [mean, scatter]]`` of shape (d + 1, d + 1). Matrices add up by the
formula of Chan, Golub and LeVeque (1983) and not number by number: sums of squares about a fixed point lose their
digits where the mean is large against the spread, and before the first batch no point is known that suits every
process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from t2av_bench.errors import MetricError
from t2av_bench.metrics.groups import clip_number
from t2av_bench.metrics.joint import Balance
from t2av_bench.metrics.stats import Float64Array, JointStats

Rows = Tensor | npt.NDArray[Any]
ClipIds = Sequence[str | int] | npt.NDArray[Any] | Tensor


def moments_matrix(rows: Tensor) -> Tensor:
    """Return count, mean and scatter of rows (n, d), n ≥ 1, as one float64 matrix (d + 1, d + 1)."""
    rows = rows.to(torch.float64)
    mean = rows.mean(dim=0)
    centred = rows - mean
    matrix = rows.new_empty((rows.shape[1] + 1,) * 2)
    matrix[0, 0], matrix[0, 1:], matrix[1:, 0] = len(rows), mean, mean
    matrix[1:, 1:] = centred.T @ centred
    return matrix


def merge_moments(matrices: Tensor) -> Tensor:
    """Return the moments of all the rows that matrices of moments, shape (k, d + 1, d + 1), were made of."""
    counts, means = matrices[:, 0, 0], matrices[:, 0, 1:]
    merged = matrices.sum(dim=0)
    mean = counts @ means / merged[0, 0].clamp(min=1)
    apart = means - mean
    merged[1:, 1:] += (apart * counts[:, None]).T @ apart
    merged[0, 1:], merged[1:, 0] = mean, mean
    return merged


def moments_stats(matrix: Tensor, dims: Mapping[str, int]) -> JointStats:
    """Return a matrix of moments as :class:`~t2av_bench.metrics.JointStats`."""
    array = matrix.detach().cpu().numpy()
    return JointStats.from_moments(dims, int(array[0, 0]), array[0, 1:], array[1:, 1:])


@dataclass(frozen=True)
class SideRows:
    """Rows of one side, shape (n, d), with a number for the clip of each, shape (n,).

    Attributes
    ----------
    dims
        Dimension of each block.
    rows, clips
        The arrays; -1 for an unknown clip.
    """

    dims: dict[str, int]
    rows: Float64Array
    clips: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows, dims: Mapping[str, int], clips: Tensor | None = None) -> SideRows:
        """Return rows on the CPU; of unknown clips where these do not matter."""
        array = rows.cpu().numpy() if isinstance(rows, Tensor) else rows
        numbers = np.full(len(array), -1) if clips is None else clips.cpu().numpy()
        return cls(dict(dims), array, numbers)

    @property
    def has_clips(self) -> bool:
        """Whether the clip of every row is known."""
        return bool((self.clips >= 0).all())

    @property
    def stats(self) -> JointStats:
        """Their statistics."""
        stats = JointStats(self.dims)
        if len(self.rows):
            stats.update(**{block: self.rows[:, slice(*stats.span(block))] for block in self.dims})
        return stats

    def balanced(self, balance: Balance) -> SideRows:
        """Return the rows in balanced coordinates."""
        stats = JointStats(self.dims)
        parts = [self.rows[:, slice(*stats.span(block))] @ balance.maps[block] for block in self.dims]
        dims = {block: part.shape[1] for block, part in zip(self.dims, parts, strict=True)}
        return SideRows(dims, np.concatenate(parts, axis=1), self.clips)


def joined_rows(
    blocks: Mapping[str, Rows | None], dims: Mapping[str, int], balance: Balance | None, device: torch.device
) -> Tensor:
    """Check one batch and join its blocks, in balanced coordinates if there is a balance; shape (n, d), float64.

    Raises
    ------
    MetricError
        If a block is missing, shapes disagree or a value is not finite.
    """
    parts: list[Tensor] = []
    for block, dim in dims.items():
        given = blocks.get(block)
        if given is None:
            raise MetricError(f"the score is over {' and '.join(dims)}; got no {block} features")
        part = torch.as_tensor(given).detach().to(device=device, dtype=torch.float64)
        rows_n = len(parts[0]) if parts else (len(part) if part.ndim else 0)
        if part.shape != (rows_n, dim):
            raise MetricError(f"block {block!r} must have the shape ({rows_n}, {dim}); got {tuple(part.shape)}")
        if not bool(torch.isfinite(part).all()):
            raise MetricError(f"block {block!r} must be finite; got NaN or infinite values")
        parts.append(part if balance is None else part @ torch.as_tensor(balance.maps[block], device=device))
    return torch.cat(parts, dim=1)


def clip_numbers(ids: ClipIds | None, rows_n: int) -> Tensor:
    """Return a number for the clip of each row, the same in every process: 63 bits of a hash, -1 for an unknown clip.

    Raises
    ------
    MetricError
        If there are not as many ids as rows.
    """
    if ids is None:
        return torch.full((rows_n,), -1, dtype=torch.int64)
    names = [str(name) for name in (ids.tolist() if isinstance(ids, Tensor | np.ndarray) else ids)]
    if len(names) != rows_n:
        raise MetricError(f"there must be a clip id for each of the {rows_n} windows; got {len(names)}")
    return torch.tensor([clip_number(name) for name in names], dtype=torch.int64)
