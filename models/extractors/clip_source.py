"""Where a clip lies, and how an extractor reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2av_bench.media.front_end import AudioFrontEnd
from t2av_bench.media.info import MediaInfo

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Where one clip's media lie and which part of them is the clip.

    Attributes
    ----------
    path
        Media file; unused by text extractors.
    start_s, duration_s
        The clip's range inside the file, in seconds.
    caption
        The clip's text; unused by audio and video extractors.
    state
        The file's size and times when its content was hashed, see :func:`t2av_bench.cache.unchanged`; may be empty.
    """

    path: Path
    start_s: float
    duration_s: float
    caption: str = ""
    state: str = ""

    def sound(self, front_end: AudioFrontEnd, sr_hz: int) -> Float32Array:
        """Read the clip's sound through a front end, shape (samples,), float32; the caller may write into it."""
        return front_end.read(self.path, sr_hz=sr_hz, start_s=self.start_s, duration_s=self.duration_s)

    def frames(self, times_s: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Read the frames on screen at some times.

        Parameters
        ----------
        times_s
            Shape (times,), seconds from the clip's start.
        size
            (height, width) to resize to.

        Returns
        -------
        numpy.ndarray, shape (times, height, width, 3), uint8, RGB
        """
        from t2av_bench.media import read_frames

        return read_frames(self.path, self.start_s + times_s, size=size)

    def info(self) -> MediaInfo:
        """Read the headers of the file."""
        from t2av_bench.media import probe

        return probe(self.path)
