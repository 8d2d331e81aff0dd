r"""Influence of windows and clips on an alignment index.

The index is 1 - L / P with the loss L = FAVD-b - FAD-b and the loss P that random pairing would have, so its influence
follows from those of the distances by the chain rule:

.. math:: -\frac{\mathrm{d}L}{P} + \frac{L}{P^2}\,\mathrm{d}P

With the closed form, P is a distance of the same windows. With re-pairing, it is the mean over draws in which a clip
occurs twice: its sound with the condition of another clip, and its condition with the sound of a third. Both count.
What the other clip's sound or condition has alone is that clip's, and counts there; what a pair has as a pair would be
lost with either clip, and counts for both.

The balancing maps count as fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.influence import Influence, InfluenceMap
from t2av_bench.metrics.joint import IndexDistances, index_distances
from t2av_bench.metrics.pairing import RePairing
from t2av_bench.metrics.stats import Float64Array, JointStats


@dataclass(frozen=True)
class IndexInfluenceMap:
    """The influence function of an alignment index whose zero point is the closed form."""

    _joint: InfluenceMap
    _unpaired: InfluenceMap
    _audio: InfluenceMap
    _parts: list[slice]  # audio and condition columns
    _loss: float
    _possible: float

    @classmethod
    def fit(cls, reference: JointStats, generated: JointStats) -> IndexInfluenceMap:
        """Fit on both sides' statistics over ``audio``, first, and one condition.

        Raises
        ------
        MetricError
            If the index is undefined.
        """
        distances = index_distances(reference, generated)
        audio_dim = reference.dims["audio"]
        return cls(
            InfluenceMap.fit(reference, generated),
            InfluenceMap.fit(reference, generated.without_cross("audio")),
            InfluenceMap.fit(reference.select("audio"), generated.select("audio")),
            [slice(0, audio_dim), slice(audio_dim, None)],
            distances.joint - distances.audio_only,
            distances.unpaired - distances.audio_only,
        )

    def reference(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence of balanced rows (n, d) of the reference side, shape (n,)."""
        x = np.asarray(rows, dtype=np.float64)
        audio = self._audio.reference(x[:, self._parts[0]])
        return self._chained(audio, self._joint.reference(x), self._unpaired.reference(x))

    def generated(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence of balanced rows (m, d) of the generated side, shape (m,)."""
        y = np.asarray(rows, dtype=np.float64)
        audio = self._audio.generated(y[:, self._parts[0]])
        unpaired = self._unpaired.generated(y, independent=self._parts)
        return self._chained(audio, self._joint.generated(y), unpaired)

    def _chained(self, audio: Float64Array, joint: Float64Array, unpaired: Float64Array) -> Float64Array:
        loss = (joint - audio) / self._possible
        return np.asarray(self._loss / self._possible**2 * (unpaired - audio) - loss)


@dataclass(frozen=True)
class RePairedIndexMap:
    """The influence function of an alignment index whose zero point is re-pairing.

    Attributes
    ----------
    distances
        What the index is made of.
    """

    distances: IndexDistances
    _joint: InfluenceMap
    _audio: InfluenceMap
    _draws: list[_Draw]
    _pairing: RePairing
    _audio_dim: int
    _loss: float
    _possible: float

    @classmethod
    def fit(cls, reference: JointStats, generated: JointStats, pairing: RePairing) -> RePairedIndexMap:
        """Fit on both sides' balanced statistics over ``audio``, first, and one condition.

        Parameters
        ----------
        reference, generated
            Balanced statistics.
        pairing
            Of the generated side, with all its sounds.

        Raises
        ------
        MetricError
            If the index is undefined.
        """
        distances = index_distances(reference, generated, null="re-pairing", re_paired=pairing.stats)
        audio = reference.select("audio")
        return cls(
            distances,
            InfluenceMap.fit(reference, generated),
            InfluenceMap.fit(audio, generated.select("audio")),
            [_Draw.fit(reference, audio, stats) for stats in pairing.stats],
            pairing,
            reference.dims["audio"],
            distances.joint - distances.audio_only,
            distances.unpaired - distances.audio_only,
        )

    @property
    def value(self) -> float:
        """The index itself."""
        return self.distances.alignment

    def reference(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence of balanced rows (n, d) of the reference side, shape (n,)."""
        x = np.asarray(rows, dtype=np.float64)
        audio = x[:, : self._audio_dim]
        loss = self._joint.reference(x) - self._audio.reference(audio)
        possible = np.mean([draw.joint.reference(x) - draw.audio.reference(audio) for draw in self._draws], axis=0)
        return np.asarray(self._loss / self._possible**2 * possible - loss / self._possible)

    def generated(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence, shape (m,), that balanced rows (m, d) of the generated side have as they are paired.

        Their part in the re-pairings is that of their clips; see :meth:`re_paired`.
        """
        y = np.asarray(rows, dtype=np.float64)
        loss = self._joint.generated(y) - self._audio.generated(y[:, : self._audio_dim])
        return np.asarray(-loss / self._possible)

    def re_paired(self, first: int, sounds: Sequence[Float64Array]) -> Float64Array:
        """Return what the re-pairings of some sounds add to every clip's contribution.

        Parameters
        ----------
        first
            Number of the first clip.
        sounds
            Balanced sounds of consecutive clips, shapes (windows, d).

        Returns
        -------
        numpy.ndarray, shape (clips,)
            For the clips of the sounds and of the conditions these are put with; zero for all others. Summed over all
            sounds: the contributions, already divided by the number of windows.
        """
        found = np.zeros(self._pairing.clips_n)
        for number, draw in enumerate(self._draws):
            pairs = self._pairing.pairs(number, first, sounds)
            whole = draw.joint.generated(np.concatenate([pairs.audio, pairs.condition], axis=1))
            as_sound = whole - draw.condition_alone(pairs.condition) - draw.audio.generated(pairs.audio)
            as_condition = whole - draw.audio_alone(pairs.audio)
            for clips, values in ((pairs.sound_clips, as_sound), (pairs.condition_clips, as_condition)):
                found += np.bincount(clips, weights=values, minlength=len(found)) / draw.n
        return np.asarray(self._loss / self._possible**2 / len(self._draws) * found)


@dataclass(frozen=True)
class _Draw:
    """Influence functions of one re-pairing: of joint and audio distance, and of either block alone in the joint."""

    joint: InfluenceMap
    audio: InfluenceMap
    audio_alone: Callable[[Float64Array], Float64Array]
    condition_alone: Callable[[Float64Array], Float64Array]
    n: int

    @classmethod
    def fit(cls, reference: JointStats, audio: JointStats, pairing: JointStats) -> _Draw:
        joint = InfluenceMap.fit(reference, pairing)
        alone = [joint.generated_block(pairing, block) for block in pairing.dims]
        return cls(joint, InfluenceMap.fit(audio, pairing.select("audio")), alone[0], alone[1], pairing.n)


def alignment_index_influence(reference: npt.ArrayLike, generated: npt.ArrayLike, audio_dim: int) -> Influence:
    """Influence of every window on the alignment index of audio with a condition, by the closed form.

    Parameters
    ----------
    reference, generated
        Balanced rows of shape (n, d) and (m, d), the audio columns first. The balancing maps count as fixed.
    audio_dim
        Number of audio columns.

    Returns
    -------
    Influence
        Dimensionless, as the index.

    Raises
    ------
    MetricError
        If shapes do not fit, a value is not finite, or the index is undefined because the reference's audio does not
        covary with the condition.
    """
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (reference, generated))
    if x.ndim != 2 or not 0 < audio_dim < x.shape[1]:
        raise MetricError(f"`audio_dim` must lie between 1 and the dimension - 1; got {audio_dim} for {x.shape}")
    dims = {"audio": audio_dim, "condition": x.shape[1] - audio_dim}
    sides = JointStats(dims), JointStats(dims)
    for stats, rows in zip(sides, (x, y), strict=True):
        stats.update(audio=rows[:, :audio_dim], condition=rows[:, audio_dim:])
    fitted = IndexInfluenceMap.fit(*sides)
    return Influence(fitted.reference(x), fitted.generated(y))
