"""The real sounds of a manifest's clips, and what distortions need to know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from t2av_bench.manifests import Clip
from t2av_bench.media import read_audio
from t2av_bench.validation.distortions import Float32Array, fitted

# Clips of one kind are put together by this many: so many sounds a mean is of, or one sound stands for.
GROUP_CLIPS = 8


class Sound(NamedTuple):
    """Samples of shape (samples, channels) and their rate."""

    samples: Float32Array
    sr_hz: int


@dataclass
class Sounds:
    """Clips and where their real sounds lie.

    Attributes
    ----------
    clips
        In the manifest's order; a place is a number in it.
    media
        Clip id to file.
    seed
        Of everything random. What is drawn for a clip depends on its id and on nothing else.
    """

    clips: Sequence[Clip]
    media: Mapping[str, Path]
    seed: int
    _drawn: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def read(self, place: int) -> Sound:
        """Read a clip's sound as stored: all channels, at the file's own rate.

        Raises
        ------
        MediaError
            If it cannot be read.
        """
        clip = self.clips[place]
        return Sound(*read_audio(self.media[clip.clip_id], start_s=clip.start_s, duration_s=clip.duration_s))

    def lent(self, place: int, to: int) -> Sound:
        """Read the sound of one clip for another one: as long as that one says."""
        sound = self.read(place)
        if place == to:
            return sound
        return sound._replace(samples=fitted(sound.samples, round(self.clips[to].duration_s * sound.sr_hz)))

    def like(self, place: int, model: Sound) -> Float32Array:
        """Read the sound of one clip in the shape and at the rate of another sound: mean of channels in each."""
        sound = self.read(place)
        mono = sound.samples.mean(axis=1, dtype=np.float32)
        if sound.sr_hz != model.sr_hz:
            import soxr

            mono = soxr.resample(mono, sound.sr_hz, model.sr_hz, quality="HQ")
        return np.repeat(fitted(mono, len(model.samples))[:, None], model.samples.shape[1], axis=1)

    def rng(self, name: str, place: int) -> np.random.Generator:
        """Return a clip's random generator for one distortion, in its first state: the same for every level."""
        return self._generator(name, self.clips[place].clip_id)

    def drawn(self, name: str) -> list[int]:
        """Return all places in the order in which a distortion takes them."""
        if name not in self._drawn:
            self._drawn[name] = self._generator(name, "").permutation(len(self.clips)).tolist()
        return self._drawn[name]

    def group(self, place: int) -> list[int]:
        """Return the places of up to 8 clips of one kind, this one among them.

        Clips are of one kind that have the same labels, or without labels the same caption; clips that are alone in
        their kind stand together, in order of their captions.
        """
        return self._groups[place]

    @cached_property
    def _groups(self) -> list[list[int]]:
        kinds: dict[str, list[int]] = {}
        for place, clip in enumerate(self.clips):
            kinds.setdefault(clip.labels or clip.caption, []).append(place)
        single = sorted((members[0] for members in kinds.values() if len(members) == 1), key=self._caption)
        groups: list[list[int]] = [[] for _ in self.clips]
        for members in [*(members for members in kinds.values() if len(members) > 1), single]:
            for first in range(0, len(members), GROUP_CLIPS):
                for place in members[first : first + GROUP_CLIPS]:
                    groups[place] = members[first : first + GROUP_CLIPS]
        return groups

    def _caption(self, place: int) -> str:
        return self.clips[place].caption

    def _generator(self, *names: str) -> np.random.Generator:
        text = "\x1f".join((str(self.seed), *names))
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))
