"""Putting a sound to a video's pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.files import replacing
from t2av_bench.media._container import check_file, need_stream, open_container, time_zero_s
from t2av_bench.media._mp4 import add_h264, audio_frame, pictures_of, with_dts

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

# What MP4 players play as it is; pictures in any other coding are coded again.
_COPIED = frozenset({"h264", "hevc", "mpeg4", "av1"})
_BLOCK_N = 1024


def mux(video: str | Path, samples: npt.NDArray[np.float32], sr_hz: int, out: str | Path) -> None:
    """Write an MP4 with a video's pictures and a new sound (AAC), which starts at the file's time zero.

    Pictures are copied bit for bit where MP4 can hold them, and else coded again as H.264. The video's own sound is
    left out.

    Parameters
    ----------
    video
        File whose pictures are taken.
    samples : array_like, shape (samples,)
        Full scale is ±1; beyond it is clipped.
    sr_hz
        Their rate.
    out
        File to write, ending in ``.mp4``; it appears when it is complete.

    Raises
    ------
    MediaError
        If the video cannot be read, or holds no pictures.
    """
    import av

    path = Path(video)
    check_file(path)
    with open_container(path) as source, replacing(Path(out)) as temporary:
        stream = need_stream(source, path, "video")
        with pictures_of(path), av.open(str(temporary), "w") as target:
            sound = target.add_stream("aac", rate=sr_hz)
            sound.layout = "mono"
            add_pictures = _copy_pictures if stream.codec_context.name in _COPIED else _code_pictures
            add_pictures(source, stream, target)
            _add_sound(target, sound, np.clip(np.asarray(samples, np.float32), -1.0, 1.0), sr_hz)


def _copy_pictures(source: InputContainer, stream: Any, target: OutputContainer) -> None:
    copy = target.add_stream_from_template(stream)
    zero = round(time_zero_s(source) / stream.time_base)
    for packet in with_dts(packet for packet in source.demux(stream) if packet.size):  # the last one only flushes
        packet.dts -= zero
        packet.pts = None if packet.pts is None else packet.pts - zero
        packet.stream = copy
        target.mux(packet)


def _code_pictures(source: InputContainer, stream: Any, target: OutputContainer) -> None:
    rate = stream.average_rate or Fraction(25)
    coded = add_h264(target, rate, stream.width, stream.height, crf="18")
    coded.time_base = Fraction(1, 90_000)
    zero_s = time_zero_s(source)
    for frame in source.decode(stream):
        shown = frame.reformat(width=coded.width, height=coded.height, format="yuv420p")
        shown.time_base = coded.time_base
        shown.pts = round((frame.pts * frame.time_base - zero_s) / coded.time_base) if frame.pts is not None else None
        target.mux(coded.encode(shown))
    target.mux(coded.encode())


def _add_sound(target: OutputContainer, stream: Any, samples: npt.NDArray[np.float32], sr_hz: int) -> None:
    for start in range(0, len(samples), _BLOCK_N):
        block = samples[None, start : start + _BLOCK_N]
        target.mux(stream.encode(audio_frame(block, sr_hz, sample_format="fltp", layout="mono", start=start)))
    target.mux(stream.encode())
