"""What every extractor is: a CPU part that runs in loader workers and a device part that runs the network.

An extractor turns one clip into embeddings. ``load`` reads the clip's media and returns the network's inputs, one row
per window; it runs in worker processes, so this module and the modules of the extractors import torch only inside the
methods that need it, and a pickled extractor carries its configuration but no network. ``embed_batch`` turns a
batch of such rows, of any clips, into float32 embeddings.

Windows and frames
------------------
Window-level extractors cut a clip at the times of :mod:`t2av_bench.models.extractors.windows`. Envelopes, such as
onset strength and motion energy, have a row every ``1 / rate_hz`` seconds instead: row *i* belongs to the time ``i /
rate_hz`` of the clip, and their count too depends on the nominal duration alone.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.media.front_end import OURS, AudioFrontEnd
from t2av_bench.models.extractors.clip_source import ClipSource
from t2av_bench.models.extractors.windows import GRID_SR_HZ, WINDOW_S, window_starts_s

Modality = Literal["audio", "video", "text"]
Unit = Literal["window", "clip", "frame", "segment"]
Float32Array = npt.NDArray[np.float32]
Finish = Callable[[], list[Float32Array]]
"""Waits for a batch that was started, and returns its embeddings: one array per extractor that wanted them."""


class Extractor(ABC):
    """Media or text of one modality to embeddings of a fixed dimension.

    Attributes
    ----------
    name, version
        Registered name, and a number that is raised whenever the same input would give other embeddings.
    modality, unit
        ``audio``, ``video`` or ``text``; one embedding per ``window`` or ``clip``, one row of an envelope per
        ``frame``, or what the extractor itself calls a ``segment``.
    rate_hz
        Rows per second of an envelope; without meaning for the other units.
    dim
        Length of an embedding.
    has_network
        Whether the class takes ``weights``, ``seed`` and ``device``.
    part
        What the embeddings are used as in an evaluation, where that is not the modality, or ``clip_audio`` for one
        embedding of a clip's sound. Scores name the parts they need (:data:`t2av_bench.metrics.METRICS`).
    """

    name: ClassVar[str]
    version: ClassVar[int]
    modality: ClassVar[Modality]
    unit: ClassVar[Unit]
    dim: int
    has_network: ClassVar[bool] = False
    part: ClassVar[str] = ""
    rate_hz: ClassVar[int] = 0
    hop_s: float = WINDOW_S

    @classmethod
    def plays(cls) -> str:
        """Return the part of an evaluation that the embeddings are: ``part``, or what follows from the modality."""
        return cls.part or ("clip_audio" if (cls.modality, cls.unit) == ("audio", "clip") else cls.modality)

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return every choice that changes an embedding, weights sha256 included, as JSON values."""

    @abstractmethod
    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Read one clip and return the network's inputs, shape (rows, ...); the CPU part."""

    @abstractmethod
    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Embed a batch of rows, shape (rows, ...), as float32 of shape (rows, dim); the device part."""

    @property
    def pass_key(self) -> str:
        """Extractors with equal keys take the same inputs, and one pass of a network serves them all."""
        return self.fingerprint

    def start(self, inputs: npt.NDArray[Any], wanted: Sequence[Extractor]) -> Finish:
        """Begin to embed a batch for several extractors with this one's ``pass_key``.

        A GPU works on while the caller gets the next batch ready; elsewhere the work is done when this returns.
        """
        done = [extractor.embed_batch(inputs) for extractor in wanted]
        return lambda: done

    @property
    def works_ahead(self) -> bool:
        """Whether :meth:`start` returns before the work is done."""
        return False

    @property
    def pass_rows_n(self) -> int:
        """How many rows one pass through the network takes; less is padded up to it, so batches should be multiples."""
        return 1

    def use_less_memory(self) -> bool:
        """Take fewer rows per pass from now on; False where that is not possible."""
        return False

    def check(self) -> None:  # noqa: B027 - most extractors need nothing
        """Raise if weights or a device are missing, at little cost; called before any work."""

    def warm_up(self) -> None:  # noqa: B027 - most extractors need nothing
        """Get ready to embed: build the network, if there is one."""

    def release(self) -> None:  # noqa: B027 - most extractors hold nothing
        """Give back the memory of the network, which is built again when needed."""

    @property
    def not_comparable(self) -> str:
        """Why embeddings of this extractor must not be put on a leaderboard; empty if they may."""
        return ""

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights file, None if the extractor has none."""
        return None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over name, version, dimension and options: equal fingerprints mean equal embeddings.

        Computed once: an extractor's options are not changed after it is made.
        """
        record = {"name": self.name, "version": self.version, "dim": self.dim, "options": self.options()}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    def rows_n(self, duration_s: float) -> int:
        """Return how many embeddings a clip of this nominal duration gives."""
        if self.unit == "clip":
            return 1
        if self.unit == "frame":
            return max(1, round(duration_s * self.rate_hz))
        return len(window_starts_s(duration_s, self.hop_s))

    def embed_file(self, path: str | Path, start_s: float = 0.0, duration_s: float | None = None) -> Float32Array:
        """Embed one media file, or a range of it.

        Parameters
        ----------
        path
            Audio or video file, as the modality asks.
        start_s, duration_s
            Range in seconds; to the end of the file without a duration.

        Returns
        -------
        numpy.ndarray, shape (windows, dim), float32
            One row for clip-level extractors.

        Raises
        ------
        MediaError
            If the file cannot be read or is too short for one window.
        """
        path = Path(path)
        if duration_s is None:
            info = ClipSource(path, 0.0, 0.0).info()
            known_s = info.audio_duration_s if self.modality == "audio" else info.video_duration_s
            duration_s = (known_s or 0.0) - start_s
        if self.rows_n(duration_s) == 0:
            shortest_s = 0.64 if self.unit == "segment" else 0.975
            raise MediaError(path, f"lasts {duration_s:.3f} s, but one {self.unit} needs {shortest_s} s")
        return self.embed_batch(self.load(ClipSource(path, start_s, duration_s)))


class AudioExtractor(Extractor):
    """An extractor of sound: reads mono float32 at ``sr_hz`` and leaves the cutting to :meth:`windows`.

    Attributes
    ----------
    front_end
        How the clip's sound is read; an extractor that lets its user choose puts it into :meth:`options`.
    """

    modality = "audio"
    sr_hz: ClassVar[int] = GRID_SR_HZ
    front_end: AudioFrontEnd = OURS

    @abstractmethod
    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Cut the clip's samples, exactly ``round(duration_s * sr_hz)`` of them, into rows."""

    def rows_n(self, duration_s: float) -> int:
        """Return how many embeddings a clip of this nominal duration gives."""
        return super().rows_n(self.front_end.length_s(duration_s))

    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Read the clip's sound, pad a shortfall of at most 0.1 s with zeros, and cut it into rows."""
        samples = source.sound(self.front_end, self.sr_hz)
        return self.windows(samples, self.front_end.length_s(source.duration_s))

    def front_end_option(self) -> dict[str, Any]:
        """Return what the front end adds to a fingerprint: nothing if it is ours."""
        return {} if self.front_end == OURS else {"front_end": self.front_end.to_json()}


class VideoExtractor(Extractor):
    """An extractor of pictures: says which frames a clip needs and gets them as RGB bytes."""

    modality = "video"

    @abstractmethod
    def frame_times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """Return the times of the frames each row needs, shape (rows, frames), seconds from the clip's start."""

    @abstractmethod
    def windows(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Turn frames of shape (rows, frames, height, width, 3), RGB, into the network's inputs."""

    @property
    @abstractmethod
    def frame_size(self) -> tuple[int, int]:
        """(height, width) that frames are resized to on reading."""

    def size_of(self, source: ClipSource) -> tuple[int, int]:
        """Return the size that the frames of one clip are resized to: ``frame_size``, whatever the picture's aspect."""
        return self.frame_size

    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Read the frames the rows need: for each time, the frame on screen at that moment."""
        times_s = self.frame_times_s(source.duration_s)
        frames = source.frames(times_s.ravel(), self.size_of(source))
        return self.windows(frames.reshape(*times_s.shape, *frames.shape[1:]))


class TextExtractor(Extractor):
    """An extractor of captions; one row per caption, repeated per window by the evaluation.

    Attributes
    ----------
    takes_any_caption
        Whether every caption has an embedding. Otherwise all are embedded before any file is read.
    """

    modality = "text"
    unit = "clip"
    takes_any_caption: ClassVar[bool] = False

    @abstractmethod
    def embed_captions(self, captions: list[str]) -> Float32Array:
        """Embed captions as float32 of shape (captions, dim)."""

    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Return the caption itself; there is nothing to decode."""
        return np.array([source.caption])

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Embed an array of captions."""
        return self.embed_captions([str(caption) for caption in inputs])
