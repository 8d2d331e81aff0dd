"""How much the picture changes, 25 times per second: an envelope for the scores of synchrony.

Motion energy at the time *i* / 25 s is the mean absolute change of luma from the frame before to the frame on screen
then, over a 32 × 32 grid: 0 for a still picture, 1 if all of it turned from black to white. It follows speed times
contrast times size, as the magnitude of optical flow times the picture's gradient does, but needs no flow, no
parameters and no download. A cut and a moving camera are motion too.

The peaks are picked from it by :func:`~t2av_bench.metrics.peaks.motion_peaks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.models.extractors.base import Float32Array, VideoExtractor

_FRAME_SIDE_PX = 64
_LUMA = np.array([0.299, 0.587, 0.114]) / 255


class MotionEnergyExtractor(VideoExtractor):
    """Motion energy of a video, one row per 40 ms.

    Notes
    -----
    Own definition; deterministic NumPy. Pictures are read at 64 × 64, whatever their shape, at 25 frames per second,
    whatever their rate: a slower video repeats frames, whose energy is 0. About 8 ms for a 4 s clip on one core,
    without the decoding. The first row repeats the second, as nothing is known of the frame before the clip; a video of
    one frame has an energy of 0.

    Examples
    --------
    >>> MotionEnergyExtractor().windows(np.zeros((100, 1, 64, 64, 3), np.uint8)).shape
    (100, 1)
    """

    name = "motion-energy"
    version = 1
    unit = "frame"
    dim = 1
    part = "motion_energy"
    rate_hz = 25

    @property
    def frame_size(self) -> tuple[int, int]:
        """64 × 64 pixels."""
        return _FRAME_SIDE_PX, _FRAME_SIDE_PX

    def options(self) -> dict[str, Any]:
        """Return nothing: everything is fixed by the version."""
        return {}

    def frame_times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """Return the middle of each 40 ms, where no rounding decides which frame it is; shape (rows, 1)."""
        return ((np.arange(self.rows_n(duration_s)) + 0.5) / self.rate_hz)[:, None]

    def windows(self, frames: npt.NDArray[np.uint8]) -> Float32Array:
        """Compute the energy.

        Parameters
        ----------
        frames : shape (rows, 1, 64, 64, 3), uint8
            RGB, of one clip, at :meth:`frame_times_s`.

        Returns
        -------
        numpy.ndarray, shape (rows, 1), float32
            From 0 to 1.
        """
        luma = frames[:, 0] @ _LUMA
        half = _FRAME_SIDE_PX // 2
        grid = luma.reshape(len(luma), half, 2, half, 2).mean(axis=(2, 4))
        energy = np.abs(np.diff(grid, axis=0)).mean(axis=(1, 2))
        first = energy[:1] if len(energy) else np.zeros(len(luma))
        return np.concatenate([first, energy])[:, None].astype(np.float32)

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Return the rows as they are, as float32 of shape (rows, 1)."""
        return np.asarray(inputs, dtype=np.float32)
