"""What the lite descriptors share: no network, one grid of windows, and no place on a leaderboard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import UsageError
from t2av_bench.models.extractors.base import Extractor, Float32Array
from t2av_bench.models.extractors.windows import WINDOW_S

Float64Array = npt.NDArray[np.float64]

NOT_COMPARABLE = "lite descriptors are signal statistics, not the networks of the protocol"
STEPS_N = 24
"""Steps of 40 ms in a window, on which both the onset and the motion envelope stand."""

_HOP_GRID_HZ = 100


class LiteWindows(Extractor):
    """A descriptor of 0.96 s windows whose work is all done in the loader's workers.

    Parameters
    ----------
    hop_s
        Distance between window starts in seconds, a multiple of 0.01 s.

    Raises
    ------
    UsageError
        If the hop is not such a multiple.
    """

    unit = "window"
    dim = 64

    def __init__(self, hop_s: float = WINDOW_S) -> None:
        steps = hop_s * _HOP_GRID_HZ
        if not (np.isfinite(steps) and round(steps) >= 1 and abs(steps - round(steps)) < 1e-6):
            raise UsageError(f"`hop_s` of {self.name} must be a positive multiple of 0.01 s; got {hop_s!r}")
        self.hop_s = float(hop_s)

    def options(self) -> dict[str, Any]:
        """Return the hop; everything else is fixed by the version."""
        return {"hop_s": self.hop_s}

    @property
    def not_comparable(self) -> str:
        """Why these embeddings do not belong on a leaderboard."""
        return NOT_COMPARABLE

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Return the rows as they are, as float32 of shape (rows, 64)."""
        return np.asarray(inputs, dtype=np.float32)
