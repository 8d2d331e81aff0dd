"""Random re-pairing of whole clips: the zero point of an alignment index, measured instead of derived.

The closed form of random pairing sets the covariance of generated sound and condition to zero. A random pairing of n
clips has chance covariances, so with few clips it scores below the closed form's zero: in a simulated world of one
window a clip -0.147 with 64 clips, -0.095 with 128, -0.041 with 512 and -0.009 with 2,000. Pairing each clip's
condition with the sound of another clip, some times at random, gives a zero point with the same chance covariances:
-0.022, -0.019, -0.011 and -0.001 from 8 re-pairings. What is left is of order 1 / clips: re-pairing a random pairing
brings a clip back to its own sound once in n times. The spread of the index is the same from 8 re-pairings as from the
closed form; from a single one it is up to half as large again. (``tests/metrics/test_pairing.py`` has the simulation.)

The cost is one joint distance per re-pairing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array, JointStats
from t2av_bench.metrics.uncertainty import ClipIds, checked_clips

DRAWS = 8
# Re-pairings have a stream of random numbers of their own: a derangement would put a set right again whose sounds were
# swapped by the same one.
_STREAM = 8


def derangements(clips_n: int, *, draws: int = DRAWS, seed: int | Sequence[int] = 0) -> list[npt.NDArray[np.intp]]:
    """Draw permutations that leave no clip in its place.

    Parameters
    ----------
    clips_n
        Number of clips, at least 2.
    draws
        Number of permutations.
    seed
        Of the draws.

    Returns
    -------
    list of numpy.ndarray, shape (clips_n,)
        Uniform among all derangements; of two clips there is one.

    Raises
    ------
    MetricError
        If there are fewer than two clips.
    """
    if clips_n < 2 or draws < 1:
        raise MetricError(f"re-pairing needs at least 2 clips and 1 draw; got {clips_n} and {draws}")
    rng = np.random.default_rng(seed)
    found: list[npt.NDArray[np.intp]] = []
    while len(found) < draws:  # one permutation in e is a derangement
        order = rng.permutation(clips_n)
        if (order != np.arange(clips_n)).all():
            found.append(order)
    return found


class Pairs(NamedTuple):
    """Sounds of some clips with the conditions they are put with in one draw, row by row.

    Attributes
    ----------
    audio, condition
        Rows, shapes (n, d) and (n, q).
    sound_clips, condition_clips
        Number of the clip that each row's sound, and condition, is of, shapes (n,).
    """

    audio: Float64Array
    condition: Float64Array
    sound_clips: npt.NDArray[np.intp]
    condition_clips: npt.NDArray[np.intp]


class RePairing:
    """Random pairings of every clip's sound with the condition of another clip.

    Sounds are added a few clips at a time and not kept; conditions must stay within reach, at most 64 axes of them: 90
    MB for 177,000 windows, which may lie in a file.

    Parameters
    ----------
    conditions
        Balanced condition rows of each clip, one per window of its own sound, shapes (windows, q). A caption is one row
        repeated.
    audio_dim
        Dimension of the sounds.
    block
        Name of the condition.
    draws, seed
        As for :func:`derangements`.

    Attributes
    ----------
    stats
        Of each draw, over ``audio`` and the condition.

    Raises
    ------
    MetricError
        If there are fewer than two clips.
    """

    def __init__(
        self,
        conditions: Sequence[Float64Array],
        audio_dim: int,
        *,
        block: str = "video",
        draws: int = DRAWS,
        seed: int = 0,
    ) -> None:
        self._conditions = conditions
        self._block = block
        self.clips_n = len(conditions)
        self.partners = derangements(self.clips_n, draws=draws, seed=(seed, _STREAM))
        self.stats = [JointStats({"audio": audio_dim, block: conditions[0].shape[1]}) for _ in self.partners]

    def pairs(self, draw: int, first: int, sounds: Sequence[Float64Array]) -> Pairs:
        """Pair the sounds of consecutive clips, from number ``first`` on, shapes (windows, d).

        Where the other clip has more windows than the sound, the sound's are used again from its first; where fewer,
        the first ones.
        """
        own = np.arange(first, first + len(sounds))
        others = self.partners[draw][own]
        conditions = [self._conditions[other] for other in others]
        counts = [len(rows) for rows in conditions]
        audio = [
            sound if len(sound) == count else sound[np.arange(count) % len(sound)]
            for sound, count in zip(sounds, counts, strict=True)
        ]
        return Pairs(
            np.concatenate(audio), np.concatenate(conditions), np.repeat(own, counts), np.repeat(others, counts)
        )

    def add(self, first: int, sounds: Sequence[Float64Array]) -> None:
        """Count the sounds of consecutive clips, from number ``first`` on; each clip once."""
        for draw, stats in enumerate(self.stats):
            pairs = self.pairs(draw, first, sounds)
            stats.update(audio=pairs.audio, **{self._block: pairs.condition})


def re_paired(
    audio: npt.ArrayLike,
    condition: npt.ArrayLike,
    clips: ClipIds,
    *,
    block: str = "video",
    draws: int = DRAWS,
    seed: int = 0,
) -> list[JointStats]:
    """Pair every clip's sound with the condition of another clip, window by window.

    Parameters
    ----------
    audio, condition
        Balanced rows of the generated side, shapes (n, d) and (n, q).
    clips
        Clip of each row, shape (n,).
    block
        Name of the condition.
    draws, seed
        As for :func:`derangements`.

    Returns
    -------
    list of JointStats
        Over ``audio`` and the condition, one per draw; for :func:`~t2av_bench.metrics.alignment_index`. Clips may have
        unequal numbers of windows; see :meth:`RePairing.pairs`.

    Raises
    ------
    MetricError
        If shapes do not fit or there are fewer than two clips.
    """
    sound, pictures = (np.asarray(rows, dtype=np.float64) for rows in (audio, condition))
    if sound.ndim != 2 or pictures.ndim != 2 or len(sound) != len(pictures):
        raise MetricError(f"both blocks must have the shape (n, d) with one n; got {sound.shape} and {pictures.shape}")
    _, inverse = np.unique(checked_clips(clips, len(sound), "clips"), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    pairing = RePairing([pictures[rows] for rows in members], sound.shape[1], block=block, draws=draws, seed=seed)
    pairing.add(0, [sound[rows] for rows in members])
    return pairing.stats
