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

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import JointStats
from t2av_bench.metrics.uncertainty import ClipIds, checked_clips

DRAWS = 8


def derangements(clips_n: int, *, draws: int = DRAWS, seed: int = 0) -> list[npt.NDArray[np.intp]]:
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


def re_paired(
    audio: npt.ArrayLike,
    condition: npt.ArrayLike,
    clips: ClipIds,
    *,
    block: str = "video",
    draws: int = DRAWS,
    seed: int = 0,
) -> list[JointStats]:
    """Pair every clip's condition with the sound of another clip, window by window.

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
        Over ``audio`` and the condition, one per draw; for :func:`~t2av_bench.metrics.alignment_index`. Where the other
        clip has fewer windows, they are used again from its first; of more, the first ones.

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
    found = []
    for partners in derangements(len(members), draws=draws, seed=seed):
        stats = JointStats({"audio": sound.shape[1], block: pictures.shape[1]})
        rows = [np.resize(members[partner], len(own)) for own, partner in zip(members, partners, strict=True)]
        stats.update(audio=sound[np.concatenate(rows)], **{block: pictures[order]})
        found.append(stats)
    return found
