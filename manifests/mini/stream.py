"""Random numbers that no NumPy release changes.

NumPy guarantees the raw words of its bit generators for ever, but not what ``Generator`` makes of them. A stream here
is keyed by the SHA-256 of its name, takes raw words from Philox and turns them into numbers by exact arithmetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_LANE_SCALE = 2.0**-16 * 1.7320508075688772  # four uniform 16-bit lanes have a standard deviation of 2^16/sqrt(3)


class Stream:
    """Random numbers that depend on the stream's name and on nothing else.

    Parameters
    ----------
    name
        Parts of the name, as text or whole numbers.
    """

    def __init__(self, *name: str | int) -> None:
        digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
        self._words = np.random.Philox(key=int.from_bytes(digest[:16], "little"))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw from [low, high)."""
        return low + (high - low) * ((int(self._words.random_raw()) >> 11) * 2.0**-53)

    def integer(self, count: int) -> int:
        """Draw from 0 … count-1."""
        return int(self.uniform() * count)

    def chance(self, probability: float) -> bool:
        """Return true with this probability."""
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of the items."""
        return items[self.integer(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Draw ``count`` different items, in random order."""
        left = list(items)
        return [left.pop(self.integer(len(left))) for _ in range(count)]

    def white(self, count: int) -> NDArray[np.int64]:
        """Draw nearly Gaussian white noise, (count,), as integers: multiply by :data:`LSB` for unit variance."""
        words = self._words.random_raw(count)
        lanes = [((words >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48)]
        return np.asarray(lanes[0] + lanes[1] + lanes[2] + lanes[3] - 2 * 0xFFFF)


LSB = _LANE_SCALE
"""Factor from the integers of :meth:`Stream.white` to unit variance."""
