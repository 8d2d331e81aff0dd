"""A clip whose file several extractors read: its sound and its pictures are decoded once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media.front_end import AudioFrontEnd
from t2av_bench.media.info import MediaInfo
from t2av_bench.models.extractors.base import Extractor, Float32Array, VideoExtractor
from t2av_bench.models.extractors.clip_source import ClipSource

Found = TypeVar("Found")
Size = tuple[int, int]


@dataclass(frozen=True)
class ReadOnceSource(ClipSource):
    """A :class:`ClipSource` that keeps what it has read, to be let go of after the last extractor.

    What it gives is what a plain source gives, byte for byte. Nothing that it hands out is shared.
    """

    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _times_s: dict[Size, list[npt.NDArray[np.float64]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, source: ClipSource, extractors: Iterable[Extractor]) -> ReadOnceSource:
        """Return the same clip, to be loaded by these extractors."""
        shared = cls(source.path, source.start_s, source.duration_s, source.caption, source.state)
        video = [extractor for extractor in extractors if isinstance(extractor, VideoExtractor)]
        for extractor in video if len(video) > 1 else ():
            shared._expect(extractor)
        return shared

    def _expect(self, extractor: VideoExtractor) -> None:
        times_s = self.start_s + extractor.frame_times_s(self.duration_s).ravel()
        try:
            size = extractor.size_of(self)
        except MediaError:
            return  # it will say so when it loads the clip
        if len(times_s):
            self._times_s.setdefault(size, []).append(times_s)

    def sound(self, front_end: AudioFrontEnd, sr_hz: int) -> Float32Array:
        """Decode the sound once, and pass it through each front end once."""
        stored, stored_sr_hz = self._once("sound", self._stored)

        def signal() -> Float32Array:
            return front_end.signal(stored, stored_sr_hz, sr_hz=sr_hz, duration_s=self.duration_s)

        return self._once((front_end, sr_hz), signal).copy()

    def frames(self, times_s: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.uint8]:
        """Decode all frames that were announced once, in one pass."""
        decoded = self._once("frames", self._decoded)
        if size in decoded:
            ascending_s, frames = decoded[size]
            wanted_s = self.start_s + times_s
            place = np.minimum(np.searchsorted(ascending_s, wanted_s), len(ascending_s) - 1)
            if np.array_equal(ascending_s[place], wanted_s):
                return np.asarray(frames[place])
        return super().frames(times_s, size)

    def info(self) -> MediaInfo:
        """Read the headers once."""
        return self._once("info", super().info)

    def _stored(self) -> tuple[Float32Array, int]:
        from t2av_bench.media.audio import read_clip_channels

        return read_clip_channels(self.path, start_s=self.start_s, duration_s=self.duration_s)

    def _decoded(self) -> dict[Size, tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]]:
        from t2av_bench.media import read_frames_in_sizes

        wanted = {size: np.unique(np.concatenate(times_s)) for size, times_s in self._times_s.items()}
        try:
            found = read_frames_in_sizes(self.path, wanted) if wanted else {}
        except MediaError:
            return {}  # some extractors may need less of the file, and each has its own reason to give
        return {size: (wanted[size], frames) for size, frames in found.items()}

    def _once(self, what: Any, read: Callable[[], Found]) -> Found:
        """Return what was read before, or read it; an error, too, is met once."""
        if what not in self._kept:
            try:
                self._kept[what] = read()
            except MediaError as error:
                self._kept[what] = error
        found = self._kept[what]
        if isinstance(found, MediaError):
            raise found
        return found  # type: ignore[no-any-return]
