"""Opening containers with PyAV: safe options, the file's clock, and errors a person can act on.

The clock
---------
Time zero of a file is the moment its earliest stream starts, which is where players put 0:00. A stream that starts
later keeps its offset, so sound stays in sync with the pictures; what lies before zero (the encoder delay of AAC and
Opus, pictures hidden by an edit list) is not part of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from t2av_bench.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer

# What is decoded at all. FFmpeg also opens play lists that name other files, pictures and plain text; a file from a
# stranger must not reach those.
_FORMATS = (
    "mov,matroska,webm,avi,mp3,aac,flac,ogg,wav,w64,aiff,au,caf,flv,asf,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ac3,eac3,"
    "amr,dts,gif,ivf,wv,ape,tta,mxf,nut,rm,dv"
)
# Containers whose packets carry times and that can be seeked to one; in the others a seek is a guess by bit rate.
_SEEKABLE = {"mov", "matroska", "avi", "flv", "asf", "mpegts", "mxf", "nut"}
# Containers whose headers state the duration; in the others FFmpeg's figure is a guess by bit rate.
_DECLARING = {"mov", "matroska", "avi", "flv", "asf", "mxf"}

# Up to this much may be missing or unreadable without making a file unusable.
TOLERANCE_S = 0.1


def check_file(path: Path) -> None:
    """Raise a MediaError unless the path is a non-empty regular file that may be read."""
    try:
        if path.is_dir():
            raise MediaError(path, "is a folder, not a media file")
        if path.exists() and not path.is_file():
            raise MediaError(path, "is a pipe or a device, not a media file")
        with path.open("rb"):
            size = os.path.getsize(path)
    except FileNotFoundError:
        raise MediaError(path, "there is no such file") from None
    except PermissionError:
        raise MediaError(path, "cannot be opened: permission denied") from None
    except OSError as error:
        raise MediaError(path, f"cannot be opened: {error.strerror}") from None
    if size == 0:
        raise MediaError(path, "is empty (0 bytes)")


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a file that :func:`check_file` has passed; FFmpeg's errors inside the block become MediaErrors."""
    import av

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # The prefix keeps a name such as "concat:a" or "http:b" a name.
        container = av.open(f"file:{path}", options=options, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, _unopenable(path)) from error
    with container:
        try:
            yield container
        except (av.FFmpegError, OSError) as error:
            raise MediaError(path, f"is damaged or truncated ({_library_reason(error)})") from error


def _unopenable(path: Path) -> str:
    """Say why FFmpeg may have refused a file, from its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
        return "is a damaged or truncated MP4 file: its table of contents (moov) is missing or broken"
    if head[:4] == b"\x1aE\xdf\xa3" or head[:4] in (b"RIFF", b"fLaC", b"OggS"):
        return "is damaged or truncated: its headers cannot be read"
    if not any(head):
        return "holds no media: it starts with zero bytes only"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head):
        return "is not a media file, it looks like text"
    return "is not a media file of a known kind"


def _library_reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def format_name(container: InputContainer) -> str:
    """Return the first name of the container's format: ``mov`` for all MP4 kin, ``matroska`` also for WebM."""
    return str(container.format.name).split(",")[0]


def can_seek(container: InputContainer) -> bool:
    """Tell whether a seek by time is exact enough to be worth it."""
    return format_name(container) in _SEEKABLE


def pick_stream(container: InputContainer, kind: str) -> Any | None:
    """Return the stream FFmpeg would play, ``audio`` or ``video``, or None; cover pictures are no video."""
    from av.stream import Disposition

    streams = [
        stream
        for stream in (container.streams.audio if kind == "audio" else container.streams.video)
        # Without a codec context there is no decoder for the stream.
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    defaults = [stream for stream in streams if stream.disposition & Disposition.default]
    return next(iter(defaults or streams), None)


def need_stream(container: InputContainer, path: Path, kind: str) -> Any:
    """Return the stream to decode, set to one thread, with the others skipped; MediaError if there is none."""
    stream = pick_stream(container, kind)
    if stream is None:
        raise MediaError(path, "holds no sound" if kind == "audio" else "holds no pictures (no video stream)")
    # One thread: the loader workers already take all cores, and results must not depend on their count.
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    skip_others(container, stream)
    return stream


def skip_others(container: InputContainer, wanted: Any) -> None:
    """Let the demuxer pass over the packets of all other streams without reading them, where PyAV can say so."""
    try:
        from av.stream import Discard
    except ImportError:  # before PyAV 17.1: they are read and dropped
        return
    for stream in container.streams:
        if stream.index != wanted.index:
            stream.discard = Discard.all


def time_zero_s(container: InputContainer) -> Fraction:
    """Return the time stamp, in seconds, of the file's time zero; see the module's text."""
    picked = [pick_stream(container, kind) for kind in ("audio", "video")]
    starts = [stream.start_time * stream.time_base for stream in picked if stream and stream.start_time is not None]
    return max(Fraction(0), min(starts, default=Fraction(0)))


def declared_end_s(container: InputContainer, stream: Any) -> float | None:
    """Return when the headers say that a stream ends, on the file's clock; None if they do not say.

    Matroska states one duration for the whole file; a stream's own is a tag that most writers add.
    """
    if format_name(container) not in _DECLARING:
        return None
    zero_s = time_zero_s(container)
    if stream.duration:
        return float(stream.duration * stream.time_base + (stream.start_time or 0) * stream.time_base - zero_s)
    tag = stream.metadata.get("DURATION", "")
    if tag.count(":") == 2:
        try:
            hours, minutes, seconds = (float(part) for part in tag.split(":"))
        except ValueError:
            return None
        return hours * 3600 + minutes * 60 + seconds - float(zero_s)
    return None


def raise_truncated(path: Path, what: str, end_s: float, declared_s: float | None) -> NoReturn:
    """Raise the MediaError for a file whose data stop before its headers say."""
    promise = "" if declared_s is None else f", its headers promise {declared_s:.3f} s"
    raise MediaError(path, f"is truncated or damaged: {what} can be read up to {max(0.0, end_s):.3f} s{promise}")


class FrameReader:
    """Decoded frames of one stream, in order, with the damage met on the way.

    A packet that cannot be decoded is passed over; its duration is added to ``lost_s``, so that callers can let one
    bad packet at a cut pass and refuse a damaged file. ``failed`` tells that the data ended with an error.
    """

    def __init__(self, container: InputContainer, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self.lost_s = 0.0
        self.failed = False

    def __iter__(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                self.failed = True
                return
            if packet.is_corrupt:
                self.lost_s += self._duration_s(packet)
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.lost_s += self._duration_s(packet)
                continue
            yield from frames

    def _duration_s(self, packet: Any) -> float:
        # A packet of unknown duration counts as lost sound or picture of a typical length.
        return float(packet.duration * packet.time_base) if packet.duration else 0.04
