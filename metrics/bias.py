r"""The bias of a Fréchet distance: three corrections, and the distance that reality has from itself.

A Fréchet distance of n windows is too large by roughly a constant / n: covariances fitted to few windows differ more
than the true ones. Ways to deal with that, each for the same clips on both sides:

:func:`half_split_corrected`
    2 · FD(n) - mean FD(n / 2): removes the 1 / n term, with about the spread of the plain score.
:func:`quarter_split_corrected`
    Removes the next term, too. What ``evaluate`` reports as corrected where there are 4 d windows.
:func:`frechet_infinity`
    Intercept of FD against 1 / n over subsets drawn *without* replacement.
:func:`real_floor`
    Measures instead of extrapolating: how far two disjoint halves of the reference are from each other.

These read rows; :mod:`t2av_bench.metrics.grouped_bias` computes the same from statistics of groups of clips, for sets
whose rows are too many to be read again.

All draw clips, never single windows, and take the same clips on both sides. All are refused where they cannot work:
with fewer windows than dimensions the distance is not linear in 1 / n any more. The floor is always defined.

They assume that a clip's generated sound depends on no other clip of the set, and that clips, not only windows, are
many: windows of one clip that resemble each other count for less. (``benchmarks/bias.py``: 128 clips of 4 windows that
share half their variance, d = 64, truth 0.41: plain 5.07, half-split 0.78; with 256 clips 0.50.) There,
:func:`quarter_split_corrected` removes the next term, too (0.41 and 0.41), for about 12 % more spread than the plain
score's: ± 1.96 errors around it cover the truth in 94 % of those runs, around the half-split one in 51 %.

Differences from other implementations
--------------------------------------
The "FAD infinity" of fadtk and kadtk draws windows with replacement, of one side, without a seed, and in sizes that may
exceed the set. Drawing with replacement leaves nearly all of the bias in place (``benchmarks/bias.py``).

References
----------
Chong and Forsyth, Effectively unbiased FID and Inception Score, 2020, arXiv:1911.07023; Gui et al., Adapting Fréchet
audio distance for generative music evaluation, 2023, arXiv:2311.01616.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import ClipIds, checked_clips

# At n = 1.25 d the extrapolation is still unbiased in simulation, though far noisier than at n = 4 d.
_INFINITY_WINDOWS_PER_DIM = 1.25


class RealFloor(NamedTuple):
    """Distance of reality from itself, and of the system on the same footing.

    Attributes
    ----------
    floor
        Mean distance between disjoint halves of the reference.
    score
        Mean distance between one half of the reference and the generated windows of the *other* half.
    windows_n
        Mean number of windows in a half.
    """

    floor: float
    score: float
    windows_n: float


class _Sides:
    """Both sides' windows with the clip of each, so that clips can be drawn."""

    def __init__(
        self, reference: npt.ArrayLike, generated: npt.ArrayLike, reference_clips: ClipIds, generated_clips: ClipIds
    ) -> None:
        self.rows = _checked_rows(reference, "reference"), _checked_rows(generated, "generated")
        reference_ids = checked_clips(reference_clips, len(self.rows[0]), "reference_clips")
        generated_ids = checked_clips(generated_clips, len(self.rows[1]), "generated_clips")
        # Sorted, so that the order of rows does not change which clips a seed draws.
        self.clips, reference_inverse = np.unique(reference_ids, return_inverse=True)
        other, generated_inverse = np.unique(generated_ids, return_inverse=True)
        if not np.array_equal(self.clips, other):
            raise MetricError("both sides must hold the same clips, so that the same ones can be drawn from both")
        self.inverse = reference_inverse, generated_inverse
        self.windows_n = min(map(len, self.rows))
        self.d = self.rows[0].shape[1]

    def of(self, side: int, clips: npt.NDArray[np.intp]) -> Float64Array:
        """Return the rows of one side (0 reference, 1 generated) that belong to some of the clips."""
        chosen = np.zeros(len(self.clips), dtype=bool)
        chosen[clips] = True
        return self.rows[side][chosen[self.inverse[side]]]

    def distance(self, clips: npt.NDArray[np.intp]) -> float:
        """Return the distance between both sides over some of the clips."""
        return frechet_distance(self.of(0, clips), self.of(1, clips))

    def check_halves(self) -> None:
        """Raise unless the clips can be split into two halves."""
        if len(self.clips) < 4:
            raise MetricError(f"halving needs at least 4 clips; got {len(self.clips)}")

    def check_parts(self, parts: int, splits: int) -> None:
        """Raise unless each of 2 or 4 parts of the clips can carry the dimensions."""
        name, doing = ("half", "halving") if parts == 2 else ("quarter", "quartering")
        if len(self.clips) < 2 * parts:
            raise MetricError(f"{doing} needs at least {2 * parts} clips; got {len(self.clips)}")
        if splits < 1:
            raise MetricError(f"`splits` must be at least 1; got {splits}")
        if self.windows_n / parts < self.d:
            raise MetricError(
                f"the {name}-split correction needs at least {parts} d windows, so that a {name} can carry"
                f" {self.d} dimensions; got {self.windows_n} (score more clips, or use the balanced distance, which has"
                " fewer dimensions)"
            )


def half_split_corrected(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    splits: int = 4,
    seed: int = 0,
) -> float:
    """Squared Fréchet distance without the leading term of its bias: 2 · FD(n) - mean FD(n / 2).

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d).
    reference_clips, generated_clips
        Clip of each row, shapes (n,) and (m,); the same clips on both sides.
    splits
        Number of random halvings; both halves of each are used.
    seed
        Of the halvings.

    Returns
    -------
    float
        In squared feature units. May be slightly negative where the truth is 0. Its standard error is that of the
        plain score to first order (:func:`~t2av_bench.metrics.uncertainty.clustered_stderr`).

    Raises
    ------
    MetricError
        If half the windows are fewer than the dimensions, or the sides hold different clips.
    """
    sides = _Sides(reference, generated, reference_clips, generated_clips)
    sides.check_parts(2, splits)
    halves = [sides.distance(half) for half in _parts(len(sides.clips), 2, splits, seed)]
    return 2.0 * sides.distance(np.arange(len(sides.clips))) - float(np.mean(halves))


def quarter_split_corrected(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    splits: int = 4,
    seed: int = 0,
) -> float:
    """Squared Fréchet distance without the two leading terms of its bias.

    (8 · FD(n) - 6 · mean FD(n / 2) + mean FD(n / 4)) / 3: terms in 1 / n and in 1 / n² cancel. The second matters where
    the windows of a clip resemble each other, and where features are far from normal.

    Parameters
    ----------
    reference, generated, reference_clips, generated_clips, seed
        As for :func:`half_split_corrected`.
    splits
        Number of random quarterings; their pairs of quarters are the halves.

    Returns
    -------
    float
        In squared feature units. May be negative where the truth is near 0.

    Raises
    ------
    MetricError
        If a quarter of the windows are fewer than the dimensions, there are fewer than 8 clips, or the sides hold
        different ones.
    """
    sides = _Sides(reference, generated, reference_clips, generated_clips)
    sides.check_parts(4, splits)
    quarters = list(_parts(len(sides.clips), 4, splits, seed))
    halves = [np.concatenate(quarters[i : i + 2]) for i in range(0, len(quarters), 2)]
    of_quarters, of_halves = (float(np.mean([sides.distance(part) for part in parts])) for parts in (quarters, halves))
    return (8.0 * sides.distance(np.arange(len(sides.clips))) - 6.0 * of_halves + of_quarters) / 3.0


def frechet_infinity(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    sizes: int = 8,
    repeats: int = 2,
    seed: int = 0,
) -> float:
    """Squared Fréchet distance extrapolated to infinitely many clips.

    Parameters
    ----------
    reference, generated, reference_clips, generated_clips
        As for :func:`half_split_corrected`.
    sizes
        Number of subset sizes, evenly spaced in 1 / n from all clips down to a quarter of them, or to as many as give
        d windows if these are more.
    repeats
        Subsets per size, each drawn without replacement.
    seed
        Of the draws.

    Returns
    -------
    float
        Intercept of the least-squares line through distance against 1 / n, in squared feature units. Noisier than the
        half-split correction, and like it may be slightly negative.

    Raises
    ------
    MetricError
        If there are fewer than 1.25 d windows, or the sides hold different clips.
    """
    sides = _Sides(reference, generated, reference_clips, generated_clips)
    sides.check_halves()
    if sizes < 2 or repeats < 1:
        raise MetricError(f"`sizes` must be at least 2 and `repeats` at least 1; got {sizes} and {repeats}")
    if sides.windows_n < _INFINITY_WINDOWS_PER_DIM * sides.d:
        raise MetricError(
            f"extrapolation needs at least {_INFINITY_WINDOWS_PER_DIM} windows per dimension; got {sides.windows_n}"
            f" windows of {sides.d} dimensions. With fewer, covariances are singular and the distance is not linear in"
            " 1 / n (score more clips, or use the balanced distance, which has fewer dimensions)"
        )
    clips_n = len(sides.clips)
    fewest = max(clips_n / 4, np.ceil(clips_n * sides.d / sides.windows_n), 2)
    counts = np.unique(np.rint(1 / np.linspace(1 / clips_n, 1 / fewest, sizes)).astype(int))
    if len(counts) < 2:
        raise MetricError(f"{clips_n} clips are too few to draw subsets of different sizes")
    rng = np.random.default_rng(seed)
    inverse_n = np.repeat(1.0 / counts, repeats)
    distances = [sides.distance(rng.permutation(clips_n)[:count]) for count in np.repeat(counts, repeats)]
    _, intercept = np.polyfit(inverse_n, distances, deg=1)
    return float(intercept)


def real_floor(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    splits: int = 4,
    seed: int = 0,
) -> RealFloor:
    """Distance between disjoint halves of the reference, and the system's distance on the same footing.

    A single distance says little: how large would it be for real sound? The reference is split into two halves of
    different clips, and their distance is the floor. Set beside it is the distance from one half of the reference to
    the *generated* windows of the other half: the same number of windows, and different clips, on both sides. A system
    that equals reality has a score equal to the floor. Neither number is comparable with the distance over all clips,
    which has twice the windows and the same clips on both sides and is therefore smaller.

    Parameters
    ----------
    reference, generated, reference_clips, generated_clips, splits, seed
        As for :func:`half_split_corrected`.

    Returns
    -------
    RealFloor
        Distances in squared feature units. Defined also with fewer windows than dimensions.

    Raises
    ------
    MetricError
        If there are fewer than 4 clips, or the sides hold different ones.
    """
    sides = _Sides(reference, generated, reference_clips, generated_clips)
    sides.check_halves()
    if splits < 1:
        raise MetricError(f"`splits` must be at least 1; got {splits}")
    floors, scores, counts = [], [], []
    for first, second in _halvings(len(sides.clips), splits, seed):
        floors.append(frechet_distance(sides.of(0, first), sides.of(0, second)))
        for one, other in ((first, second), (second, first)):
            scores.append(frechet_distance(sides.of(0, one), sides.of(1, other)))
            counts.append(len(sides.of(0, one)))
    return RealFloor(float(np.mean(floors)), float(np.mean(scores)), float(np.mean(counts)))


def _parts(clips_n: int, parts: int, splits: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """Random disjoint parts of equal size, one split after the other; clips that are left over are in none."""
    rng = np.random.default_rng(seed)
    size = clips_n // parts
    return [part for _ in range(splits) for part in np.split(rng.permutation(clips_n)[: parts * size], parts)]


def _halvings(clips_n: int, splits: int, seed: int) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Random pairs of disjoint halves; of an odd number of clips, one is left out."""
    rng = np.random.default_rng(seed)
    half = clips_n // 2
    orders = [rng.permutation(clips_n) for _ in range(splits)]
    return [(order[:half], order[half : 2 * half]) for order in orders]


def _checked_rows(rows: npt.ArrayLike, name: str) -> Float64Array:
    array = np.asarray(rows, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise MetricError(f"`{name}` must be an array of shape (n, d) of finite values; got the shape {array.shape}")
    return array
