"""Pictures through decord, for the files where it is known to give the right ones.

decord 0.6 numbers frames by counting packets, and reads the whole file when it opens it. It loses count, or waits
for ever, where a packet gives no frame: pictures hidden by an edit list, damaged packets, pictures that lead an open
group. It also drops the stream's offset to the sound. So the packets are looked at first; a file with any oddity, a
rotation, a rare pixel format or more than two minutes of video is left to PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.media._container import FrameReader, can_seek, format_name, need_stream, open_container, time_zero_s
from t2av_bench.media._video_av import EARLY_S

_LONGEST_S = 120.0
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")


def read_with_decord(
    path: Path, times_s: npt.NDArray[np.float64], size: tuple[int, int] | None
) -> Iterator[npt.NDArray[np.uint8]] | None:
    """Return the pictures on screen at ascending times, shape (height, width, 3) each; None to leave it to PyAV.

    The iterator ends early where decord fails: the rest is left to PyAV, too.
    """
    try:
        import decord
    except (ImportError, OSError):  # OSError: its shared library does not load
        return None
    stamps_s = _frame_times_s(path)
    if stamps_s is None or times_s[-1] > stamps_s[-1]:
        return None
    decord.logging.set_level(decord.logging.QUIET)
    numbers = np.maximum(np.searchsorted(stamps_s, times_s + EARLY_S, side="right") - 1, 0)
    return _pictures(path, numbers, len(stamps_s), size or (-1, -1))


def _pictures(
    path: Path, numbers: npt.NDArray[np.intp], frames_n: int, size: tuple[int, int]
) -> Iterator[npt.NDArray[np.uint8]]:
    import decord

    last = -1
    try:
        # Absolute: it would take a name such as "http:a" for an address.
        name = str(path.absolute())
        reader = decord.VideoReader(name, ctx=decord.cpu(0), width=size[1], height=size[0], num_threads=1)
        if len(reader) != frames_n:
            return
        for number in numbers:
            if number != last:
                picture = _as_array(reader[int(number)])
                last = number
            # For some small widths it takes the padding between lines for more channels.
            if picture.shape[2] != 3:
                return
            yield picture
    except (decord.DECORDError, RuntimeError, IndexError):  # PyAV has the last word on damaged files
        return


def _as_array(picture: Any) -> npt.NDArray[np.uint8]:
    # A program that has set decord's bridge gets tensors of its framework.
    return np.asarray(picture.asnumpy() if hasattr(picture, "asnumpy") else picture)


def _frame_times_s(path: Path) -> npt.NDArray[np.float64] | None:
    """Return the times of all frames on the file's clock, ascending; None if decord may not count them right."""
    import av

    with open_container(path) as container:
        stream = need_stream(container, path, "video")
        duration_s = (container.duration or 0) / 1e6
        context = stream.codec_context
        if not can_seek(container) or format_name(container) == "avi" or not 0 < duration_s <= _LONGEST_S:
            return None
        if context.pix_fmt not in _PIXEL_FORMATS or context.width % 2 or context.height % 2:
            return None
        zero_s = time_zero_s(container)
        try:
            packets = [packet for packet in container.demux(stream) if packet.size]
        except av.FFmpegError:
            return None
        if not _is_regular(packets) or _is_rotated(container, stream):
            return None
        # Exact until the last step, as in the PyAV reader: a time on the edge must give the same frame.
        return np.array(sorted(float(packet.pts * stream.time_base - zero_s) for packet in packets))


def _is_regular(packets: list[Any]) -> bool:
    """Tell whether each packet gives one frame and every key frame starts afresh."""
    if not packets or not packets[0].is_keyframe:
        return False
    if any(packet.pts is None or packet.is_corrupt or packet.is_discard for packet in packets):
        return False
    pts = [packet.pts for packet in packets]
    highest = key_pts = pts[0]
    for packet in packets:
        if packet.is_keyframe:
            # A closed group: all that came before is shown before, all that follows is shown after.
            if packet.pts < highest:
                return False
            key_pts = packet.pts
        elif packet.pts < key_pts:
            return False
        highest = max(highest, packet.pts)
    return len(set(pts)) == len(pts)


def _is_rotated(container: Any, stream: Any) -> bool:
    container.seek(0)
    frame = next(iter(FrameReader(container, stream)), None)
    return frame is None or frame.side_data.get("DISPLAYMATRIX") is not None
