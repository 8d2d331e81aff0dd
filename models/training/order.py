"""The order of the clips: a function of the seed and the position, so that nothing has to be remembered."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def batch_indices(clips_n: int, batch_size: int, step: int, seed: int) -> Indices:
    """Return the clips of one update.

    All clips are shuffled, used once, shuffled anew, and so on; a batch may reach over the seam.

    Parameters
    ----------
    clips_n, batch_size
        Number of clips in all and per update.
    step
        The update, from 0.
    seed
        Of the shuffling.

    Returns
    -------
    numpy.ndarray, shape (batch_size,), int64

    Examples
    --------
    >>> sorted(int(i) for step in range(2) for i in batch_indices(6, 3, step, seed=0))
    [0, 1, 2, 3, 4, 5]
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_shuffled(clips_n, int(p) // clips_n, seed)[int(p) % clips_n] for p in positions], dtype=np.int64)


@lru_cache(maxsize=2)
def _shuffled(clips_n: int, round_i: int, seed: int) -> Indices:
    return np.random.default_rng((seed, round_i)).permutation(clips_n)
