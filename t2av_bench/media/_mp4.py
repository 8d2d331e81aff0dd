"""What is common to writing MP4: pictures coded as every player knows them, times that MP4 asks for, errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError

if TYPE_CHECKING:
    from av import AudioFrame
    from av.container import OutputContainer
    from av.packet import Packet


def add_h264(target: OutputContainer, rate: Fraction, width: float, height: float, **options: str) -> Any:
    """Add a stream of H.264 in its common form, 4:2:0 in 8 bits, which needs even sizes: the nearest are taken."""
    stream: Any = target.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height = (max(2, round(length / 2) * 2) for length in (width, height))
    stream.pix_fmt = "yuv420p"
    return stream


def audio_frame(
    samples: npt.NDArray[Any], sr_hz: int, *, sample_format: str, layout: str, start: int = 0
) -> AudioFrame:
    """Make a frame of sound that starts at a sample's number; ``samples`` as PyAV lays out the format."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=sample_format, layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sr_hz, start, Fraction(1, sr_hz)
    return frame


def with_dts(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Give the first packets, which Matroska leaves without a decoding time, one each: MP4 needs it."""
    waiting: list[Packet[Any]] = []
    for packet in packets:
        if packet.dts is None:
            waiting.append(packet)
            continue
        step = packet.duration or 1
        for ahead, early in enumerate(reversed(waiting), start=1):
            early.dts = packet.dts - ahead * step
        yield from waiting
        waiting = []
        yield packet
    for number, packet in enumerate(waiting):  # none has one: pictures in the order they are shown
        packet.dts = number if packet.pts is None else packet.pts
        yield packet


@contextmanager
def pictures_of(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors in the block, in which a file's pictures are put into an MP4, into MediaErrors."""
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(path, f"its pictures cannot be put into an MP4 ({error.strerror})") from error
