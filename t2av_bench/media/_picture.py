"""From decoded frames to RGB arrays: upright, at the wanted size.

Colour conversion and resizing are one pass of swscale with its bilinear filter, which widens when it shrinks and so
does not alias (OpenCV's bilinear resize, common in older video pipelines, does). decord does the same with its own
copy of swscale; for the frames that are handed to it the pixels are equal bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Formats whose frames are handed to swscale without their chroma location: decord's swscale does not know it, and
# half a chroma sample is worth less than results that do not depend on which decoder is installed.
_PLAIN_FORMATS = ("yuv420p", "yuvj420p")


class PictureMaker:
    """Turns PyAV frames into RGB arrays of one size; keeps its scaler between frames.

    Parameters
    ----------
    size
        (height, width) of the upright picture; None for the frame's own.
    """

    def __init__(self, size: tuple[int, int] | None) -> None:
        from av.video.reformatter import VideoReformatter

        self._size = size
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> npt.NDArray[np.uint8]:
        """Return one frame, shape (height, width, 3), RGB."""
        quarter_turns_n, mirrored = orientation(frame)
        height, width = (None, None) if self._size is None else self._size
        if quarter_turns_n % 2:
            height, width = width, height
        scaled = self._scale(_without_chroma_location(frame), width, height)
        picture = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        if mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, quarter_turns_n) if quarter_turns_n else picture

    def _scale(self, frame: Any, width: int | None, height: int | None) -> Any:
        options: dict[str, Any] = {"format": "rgb24", "interpolation": "BILINEAR"}
        try:
            return self._scaler.reformat(frame, width, height, threads=1, **options)
        except TypeError:  # an older PyAV, which always takes one thread
            return self._scaler.reformat(frame, width, height, **options)


def _without_chroma_location(frame: Any) -> Any:
    if frame.format.name not in _PLAIN_FORMATS or frame.width % 2 or frame.height % 2:
        return frame
    import av

    plain = av.VideoFrame.from_ndarray(frame.to_ndarray(), frame.format.name)
    plain.colorspace, plain.color_range = frame.colorspace, frame.color_range
    return plain


def orientation(frame: Any) -> tuple[int, bool]:
    """Return how to put a frame upright: mirror left to right first or not, then quarter turns anticlockwise."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    # Row vectors: (x', y') = (x, y) @ [[a, b], [c, d]], y pointing down.
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # The image of the x axis tells the turn; multiples of 90 degrees are all that players honour.
    turn_deg = np.degrees(np.arctan2(-b, a))
    return round(turn_deg / 90) % 4, mirrored
