"""The windows of a clip, the same for all extractors.

All window-level extractors cut a clip at the same times, so that audio and video windows pair one to one. The grid is
VGGish's: window *i* starts at ``i * hop_s`` and its log-mel example needs 15,600 samples at 16 kHz (0.975 s: 96
frames of 25 ms, 10 ms apart); the window is said to last 0.96 s. The count depends on the clip's nominal duration
alone, never on the file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GRID_SR_HZ = 16_000
WINDOW_S = 0.96
WINDOW_SAMPLES_N = 15_600


def window_starts_s(
    duration_s: float, hop_s: float = WINDOW_S, least_n: int = WINDOW_SAMPLES_N
) -> npt.NDArray[np.float64]:
    """Start times of the windows of a clip.

    Parameters
    ----------
    duration_s
        Nominal duration of the clip in seconds.
    hop_s
        Distance between window starts in seconds.
    least_n
        Samples at 16 kHz that must be left for a window to start.

    Returns
    -------
    numpy.ndarray, shape (windows,)
        Seconds from the start of the clip; empty if the clip is shorter than 0.975 s. A 4 s clip has 4 windows, a
        10 s clip 10.
    """
    samples_n = round(duration_s * GRID_SR_HZ)
    hop_n = round(hop_s * GRID_SR_HZ)
    if samples_n < least_n:
        return np.zeros(0)
    count = (samples_n - least_n) // hop_n + 1
    return np.arange(count, dtype=np.float64) * (hop_n / GRID_SR_HZ)
