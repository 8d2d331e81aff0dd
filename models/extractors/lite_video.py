"""Pictures described by 64 numbers per 0.96 s window, with no network and no download.

=========  =======  ==============================================================
numbers    count    what
=========  =======  ==============================================================
0 to 11    12       mean colour of the 2 × 2 quarters of the picture, RGB
12 to 27   16       motion energy in each cell of a 4 × 4 grid: where it moves
28 to 51   24       motion energy in steps of 40 ms: when it moves
52 to 63   12       reversal of change in steps of 80 ms: when motion turns round
=========  =======  ==============================================================

Motion energy is the root mean square of the luma's change from one frame (40 ms) to the next; reversal is the part of
a change that the next change undoes, which is large where a thing bounces back or comes to rest after a blow. Where it
moves is told on a logarithmic scale, because a ball covers a hundredth of the picture and a moving camera all of it.
When it moves is told relative to the clip's own motion: the envelopes of a small and a large ball are alike.

The two envelopes carry most of the variance: were it colour and place, the leading principal axes to which the balanced
scores reduce a condition would tell what is seen and not when it moves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.models.extractors.base import Float32Array, VideoExtractor
from t2av_bench.models.extractors.lite_common import STEPS_N, Float64Array, LiteWindows
from t2av_bench.models.extractors.windows import window_starts_s

FRAME_RATE_HZ = 25
REVERSAL_STEPS_N = 12
COLOUR_GRID_N = 2
MOTION_GRID_N = 4
FRAME_SIDE_PX = 64

# One frame in the middle of each 40 ms step, and one on either side of the window, so that every step has the change
# before and the change after it.
_FRAMES_N = STEPS_N + 2
_LUMA = np.array([0.299, 0.587, 0.114])
# Half of the 8-bit full scale: a colour then varies about as much as the other numbers.
_COLOUR_UNIT = 255 / 2
# Changes well below this share of full scale are noise of camera and codec.
_CHANGE_KNEE = 0.005
_MOTION_KNEE = 0.003
_REVERSAL_KNEE = 0.002
# Half the steps and a clearer sign of a contact: a reversal counts more than motion.
_MOTION_WEIGHT = 0.6
_REVERSAL_WEIGHT = 1.0


class LiteVideoExtractor(LiteWindows, VideoExtractor):
    """Colour grid, motion grid and the two motion envelopes of each 0.96 s window.

    Parameters
    ----------
    hop_s
        Distance between window starts in seconds, a multiple of 0.01 s.

    Raises
    ------
    UsageError
        If the hop is not such a multiple.

    Notes
    -----
    Own definition, of no published tool: compare its distances with each other only. Pictures are read at 64 × 64,
    whatever their shape, at 25 frames/s whatever their rate: a slower video repeats frames, which its envelope shows.
    About 8 ms for a 4 s clip on one core, without the decoding.

    Examples
    --------
    >>> LiteVideoExtractor().windows(np.zeros((4, 26, 64, 64, 3), np.uint8)).shape
    (4, 64)
    """

    name = "lite-video"
    version = 1

    @property
    def frame_size(self) -> tuple[int, int]:
        """64 × 64 pixels."""
        return FRAME_SIDE_PX, FRAME_SIDE_PX

    def frame_times_s(self, duration_s: float) -> Float64Array:
        """Return the middles of the 40 ms steps of each window and of one step on either side.

        Parameters
        ----------
        duration_s
            Nominal duration of the clip in seconds.

        Returns
        -------
        numpy.ndarray, shape (windows, 26)
            Seconds from the start of the clip, never outside it: where a neighbouring step would be, its frame is that
            of the step itself, and nothing is seen to move.
        """
        step_s = 1 / FRAME_RATE_HZ
        offsets_s = (np.arange(_FRAMES_N) - 0.5) * step_s
        times_s = window_starts_s(duration_s, self.hop_s)[:, None] + offsets_s
        return np.clip(times_s, step_s / 2, duration_s - step_s / 2)

    def windows(self, frames: npt.NDArray[np.uint8]) -> Float32Array:
        """Describe the frames.

        Parameters
        ----------
        frames : shape (windows, 26, 64, 64, 3), uint8
            RGB, of one clip, at :meth:`frame_times_s`.

        Returns
        -------
        numpy.ndarray, shape (windows, 64), float32
        """
        if len(frames) == 0:
            return np.zeros((0, self.dim), np.float32)
        small = _halve(frames)
        changes = np.diff(small @ (_LUMA / 255), axis=1)
        places = _cell_means(changes[:, :-1, ..., None] ** 2, MOTION_GRID_N).mean(axis=1)
        reversals = _relative(_reversal(changes), _REVERSAL_KNEE)
        parts = [
            _cell_means(small[:, 1:-1], COLOUR_GRID_N).mean(axis=1) / _COLOUR_UNIT,
            np.log10(1 + np.sqrt(places) / _CHANGE_KNEE),
            _MOTION_WEIGHT * _relative(_motion(changes), _MOTION_KNEE),
            _REVERSAL_WEIGHT * reversals.reshape(len(frames), REVERSAL_STEPS_N, -1).mean(axis=2),
        ]
        return np.concatenate([part.reshape(len(frames), -1) for part in parts], axis=1).astype(np.float32)


def _halve(frames: npt.NDArray[np.uint8]) -> Float64Array:
    """Average 2 × 2 pixels, shape (..., height / 2, width / 2, 3); summed as integers, which is exact and fast."""
    rows = frames[..., 0::2, :, :].astype(np.uint16) + frames[..., 1::2, :, :]
    return (rows[..., 0::2, :] + rows[..., 1::2, :]) / 4.0


def _cell_means(pictures: Float64Array, cells_n: int) -> Float64Array:
    """Mean over each cell of a grid, shape (windows, frames, cells, cells, channels)."""
    windows_n, frames_n, height, width, channels_n = pictures.shape
    shape = windows_n, frames_n, cells_n, height // cells_n, cells_n, width // cells_n, channels_n
    means: Float64Array = pictures.reshape(shape).mean(axis=(3, 5))
    return means


def _motion(changes: Float64Array) -> Float64Array:
    """Root mean square of the change before and the change after each step, shape (windows, steps)."""
    energy = (changes**2).mean(axis=(2, 3))
    return np.asarray(np.sqrt((energy[:, :-1] + energy[:, 1:]) / 2))


def _reversal(changes: Float64Array) -> Float64Array:
    """Root mean square of what each change takes back of the one before, shape (windows, steps)."""
    before, after = changes[:, :-1], changes[:, 1:]
    undone = np.where(before * after < 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    return np.asarray(np.sqrt((undone**2).mean(axis=(2, 3))))


def _relative(envelope: Float64Array, knee: float) -> Float64Array:
    """Divide by the root mean square over the clip, which bounds the peak that one cut makes in a still clip."""
    return np.asarray(envelope / (np.sqrt((envelope**2).mean()) + knee))
