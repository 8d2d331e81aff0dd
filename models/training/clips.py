"""Clips to learn from: pictures and sound of any manifest or of the mini world, in shards of a few dozen.

A shard is a folder of ``frames.npy`` (clips, frames, height, width, 3) uint8 and ``samples.npy`` (clips, samples)
float32, written by a worker process and renamed when complete: a killed preparation goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import TrainingError, UsageError
from t2av_bench.files import remove_leftovers, temporary_path
from t2av_bench.manifests.schema import Manifest
from t2av_bench.models.training.config import TrainingConfig
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, run_jobs

_LARGEST_SHARD_N = 50
_LARGEST_SHARD_BYTES = 200e6
SR_HZ = 16_000


class RawClip(NamedTuple):
    """Pictures (frames, height, width, 3) uint8 and sound (samples,) float32 of one clip."""

    frames: npt.NDArray[np.uint8]
    samples: npt.NDArray[np.float32]


class ClipSource(Protocol):
    """Where clips come from; must be picklable."""

    @property
    def key(self) -> str:
        """A name that differs for other content, fit for a folder."""

    @property
    def captions(self) -> tuple[str, ...]:
        """One per clip."""

    @property
    def clip_bytes(self) -> int:
        """Size of a clip's pictures."""

    def read(self, index: int) -> RawClip:
        """Read one clip."""


@dataclass(frozen=True)
class MiniSource:
    """Clips of the mini world; clip i is the same however many there are."""

    split: str
    seed: int
    clips_n: int

    @property
    def key(self) -> str:
        """A name that differs for other content."""
        from t2av_bench.manifests.mini.constants import WORLD_VERSION

        return f"mini-v{WORLD_VERSION}-{self.split}-s{self.seed}"

    @property
    def clip_bytes(self) -> int:
        """Size of a clip's pictures."""
        from t2av_bench.manifests.mini.constants import N_FRAMES, SIZE_PX

        return N_FRAMES * SIZE_PX * SIZE_PX * 3

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """One per clip."""
        from t2av_bench.manifests.mini.world import Scene

        return tuple(Scene(self.split, self.seed, index).caption for index in range(self.clips_n))

    def read(self, index: int) -> RawClip:
        """Render one clip."""
        from t2av_bench.manifests.mini import make_clip

        clip = make_clip(self.split, self.seed, index)
        return RawClip(clip.frames, clip.pcm.astype(np.float32) / 32768.0)


@dataclass(frozen=True)
class ManifestSource:
    """Clips of a manifest.

    Attributes
    ----------
    manifest, data_dir
        The clips and the folder of their media.
    first, clips_n
        Which of them.
    duration_s
        Every clip is cut to this length, or padded with silence and its last picture.
    frame_rate_hz, image_size_px
        Of the pictures that are kept.
    """

    manifest: Manifest
    data_dir: Path
    first: int
    clips_n: int
    duration_s: float
    frame_rate_hz: float
    image_size_px: int

    @property
    def key(self) -> str:
        """A name that differs for other content, except for media that changed under the same name."""
        facts = (self.manifest.sha256, self.data_dir.resolve(), self.first, self.duration_s, self.frame_rate_hz,
                 self.image_size_px)  # fmt: skip
        return f"{self.manifest.name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"

    @property
    def clip_bytes(self) -> int:
        """Size of a clip's pictures."""
        return round(self.duration_s * self.frame_rate_hz) * self.image_size_px**2 * 3

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """One per clip."""
        return tuple(self.manifest.table["caption"].iloc[self.first : self.first + self.clips_n])

    def read(self, index: int) -> RawClip:
        """Decode one clip."""
        from t2av_bench.manifests.schema import Clip
        from t2av_bench.media import read_clip_audio, read_frames

        clip = Clip(*self.manifest.table.iloc[self.first + index])
        path, length_s = self.data_dir / clip.media, min(clip.duration_s, self.duration_s)
        samples = np.zeros(round(self.duration_s * SR_HZ), np.float32)
        heard = read_clip_audio(path, sr_hz=SR_HZ, start_s=clip.start_s, duration_s=length_s)
        samples[: len(heard)] = heard[: len(samples)]
        # The picture on screen in the middle of each frame's time, as in generation.
        times_s = (np.arange(round(self.duration_s * self.frame_rate_hz)) + 0.5) / self.frame_rate_hz
        times_s = clip.start_s + np.minimum(times_s, length_s - 0.5 / self.frame_rate_hz)
        return RawClip(read_frames(path, times_s, size=(self.image_size_px,) * 2), samples)


def clip_source(config: TrainingConfig, training: bool) -> ClipSource:
    """Return the clips of a recipe, those to learn from or those to look at."""
    data, model = config.data, config.model
    if data.manifest == "t2av-mini":
        return (
            MiniSource("train", data.seed, data.clips_n)
            if training
            else MiniSource("val", data.seed, data.validation_clips_n)
        )
    from t2av_bench.manifests.schema import read_manifest

    manifest = read_manifest(data.manifest)
    data_dir = Path(data.data_dir) if data.data_dir else manifest.data_dir or Path()
    learned_n = len(manifest) - data.validation_clips_n
    if learned_n < 1:
        raise UsageError(f"{data.manifest} has {len(manifest)} clips, no more than data.validation_clips_n.")
    return ManifestSource(
        manifest,
        data_dir,
        first=0 if training else learned_n,
        clips_n=learned_n if training else data.validation_clips_n,
        duration_s=model.duration_s,
        frame_rate_hz=model.frame_rate_hz,
        image_size_px=model.frame_encoder.image_size_px,
    )


class ClipStore:
    """Clips of a source as shards of memory-mapped arrays.

    Parameters
    ----------
    source
        Where they come from.
    folder
        Gets a folder for the source.
    num_workers
        Processes that render or decode; 0 does it in this one.
    """

    def __init__(self, source: ClipSource, folder: Path, num_workers: int = 0) -> None:
        self.source, self.folder, self._num_workers = source, folder / source.key, num_workers
        self.clips_n = len(source.captions)
        if self.clips_n == 0:
            raise UsageError(f"{source.key}: training needs at least one clip, got none.")
        self.shard_n = max(1, min(_LARGEST_SHARD_N, int(_LARGEST_SHARD_BYTES // source.clip_bytes)))

    def shards(self) -> Iterator[tuple[int, int]]:
        """Yield the number of the first clip of each shard, and the number behind its last."""
        for first in range(0, self.clips_n, self.shard_n):
            yield first, min(first + self.shard_n, self.clips_n)

    def shard_name(self, first: int, end: int) -> str:
        """Return the name of a shard's folder."""
        return f"{first:07d}-{end:07d}"

    def prepare(self, wanted: Sequence[tuple[int, int]] | None = None, *, part: int = 0, parts_n: int = 1) -> None:
        """Write the shards that are not there yet, all or those wanted, or this process's part of them.

        Raises
        ------
        TrainingError
            If clips cannot be read; says how many and why.
        """
        shards = list(self.shards()) if wanted is None else wanted
        missing = [bounds for bounds in shards if not (self.folder / self.shard_name(*bounds)).is_dir()]
        missing = missing[part::parts_n]
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        failures: list[str] = []
        task = partial(_write_shard, self.source, self.folder)
        with (
            closing(run_jobs(task, missing, num_workers=self._num_workers, timeout_s=self._longest_s)) as outcomes,
            progress_bar(len(missing) * self.shard_n, f"Preparing {self.source.key}", "clip", wanted is None) as bar,
        ):
            for index, outcome in outcomes:
                if isinstance(outcome, JobFailure):
                    first, end = missing[index]
                    failures.append(f"clips {first} to {end - 1}: {outcome.error or outcome.reason}")
                bar.update(self.shard_n)
        if failures:
            raise TrainingError(
                f"Clips cannot be read, in {len(failures)} of {len(shards)} groups; the first are {failures[0]}"
            )

    @property
    def _longest_s(self) -> float:
        """How long a shard may take before its decoder counts as stuck."""
        return 300.0 + 10.0 * self.shard_n

    def read_shard(self, first: int, end: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return a shard's arrays by name; makes it first if need be."""
        path = self.folder / self.shard_name(first, end)
        if not path.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_shard(self.source, self.folder, (first, end))
        return {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in RawClip._fields}

    @property
    def at_once_n(self) -> int:
        """How many shards can be prepared at once."""
        return max(1, self._num_workers)

    def forget_shard(self, first: int, end: int) -> None:
        """Remove a shard that is no longer needed."""
        shutil.rmtree(self.folder / self.shard_name(first, end), ignore_errors=True)


def _write_shard(source: ClipSource, folder: Path, bounds: tuple[int, int]) -> None:
    clips = [source.read(index) for index in range(*bounds)]
    write_arrays(
        folder / f"{bounds[0]:07d}-{bounds[1]:07d}",
        {name: np.stack([getattr(clip, name) for clip in clips]) for name in RawClip._fields},
    )


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Write arrays as files of a folder that appears complete or not at all."""
    temporary = temporary_path(path)
    try:
        temporary.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        try:
            os.replace(temporary, path)
        except OSError:
            if not path.is_dir():  # otherwise another process was faster, with the same content
                raise
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error}); free some space and start again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
