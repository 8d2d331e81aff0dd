"""One clip of the mini world, from its split, seed and index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t2av_bench.errors import UsageError
from t2av_bench.manifests.mini.canvas import Canvas
from t2av_bench.manifests.mini.captions import caption
from t2av_bench.manifests.mini.constants import N_SAMPLES, SIZE_PX, WORLD_VERSION
from t2av_bench.manifests.mini.exact import Float64s
from t2av_bench.manifests.mini.hummers import Siren, Wheel
from t2av_bench.manifests.mini.motion import frame_at
from t2av_bench.manifests.mini.scenery import background, draw_distractor, draw_occluder, no_shake, shake
from t2av_bench.manifests.mini.sound import band, silence, to_pcm
from t2av_bench.manifests.mini.source import COLOURS, Slot, Source
from t2av_bench.manifests.mini.stream import Stream
from t2av_bench.manifests.mini.strikers import Clap, Door, Drum, Hammer, Piston, Xylophone
from t2av_bench.manifests.mini.swingers import Bounce, Metronome, Pendulum, Rain

_SOURCES: tuple[type[Source], ...] = (
    Bounce, Clap, Door, Drum, Hammer, Metronome, Pendulum, Piston, Rain, Siren, Wheel, Xylophone,
)  # fmt: skip
FAMILIES = tuple(source.family for source in _SOURCES)
"""The kinds of sounding objects."""

SPLITS = ("train", "val", "test")

# How probable each complication is; a second distractor needs a first.
_TWO_SOURCES, _DISTRACTOR, _OCCLUSION, _SHAKE = 0.25, 0.4, 0.2, 0.2
_ONE_NAMED = 0.5  # of the clips that show two sources; the other one is then a bystander
_CLIP_ID = re.compile(r"(train|val|test)-s(\d+)-(\d+)")


class Event(NamedTuple):
    """One audible contact.

    Attributes
    ----------
    time_s
        When it is heard, exact; the first frame at or after it shows the contact.
    family
        Kind of the source.
    source
        Its index among the clip's sources.
    x_px, y_px
        Where it is in that frame.
    strength
        Loudness relative to the source's loudest, in (0, 1].
    """

    time_s: float
    family: str
    source: int
    x_px: float
    y_px: float
    strength: float


@dataclass(frozen=True)
class MiniClip:
    """A rendered clip.

    Attributes
    ----------
    clip_id, caption
        As in the manifest.
    families
        Kind of each source that the caption names, which is each that sounds.
    bystanders
        Kind of each source that is seen to move and strike, but is neither named nor heard.
    events : tuple of Event
        In order of time; empty if only a wheel or a siren sounds.
    frames : (100, 64, 64, 3) uint8
        RGB, 25 per second.
    pcm : (64000,) int16
        Mono, 16 kHz.
    """

    clip_id: str
    caption: str
    families: tuple[str, ...]
    bystanders: tuple[str, ...]
    events: tuple[Event, ...]
    frames: NDArray[np.uint8]
    pcm: NDArray[np.int16]


class Scene:
    """Everything about a clip that is decided before a pixel or a sample is computed.

    Parameters
    ----------
    split
        ``train``, ``val`` or ``test``.
    seed, index
        Not negative. A clip depends on these three alone.

    Attributes
    ----------
    sources
        What the caption names: it is seen and heard.
    bystanders
        What is seen only. Their contacts are not events: the sound that is wanted is the named source's.

    Raises
    ------
    UsageError
        If there is no such clip.
    """

    def __init__(self, split: str, seed: int, index: int) -> None:
        if split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if seed < 0 or index < 0:
            raise UsageError(f"seed and index must not be negative, got {seed} and {index}")
        self.clip_id = f"{split}-s{seed}-{index:06d}"
        self._name = ("t2av-mini", WORLD_VERSION, split, seed, index)
        rng = self._stream("scene")
        self._floor_px = rng.uniform(49, 55)
        self.sources, self.bystanders = _plan_sources(rng, split, self._floor_px)
        self.caption = caption(rng, self.sources)
        self._room_rms = 0.0005 + 0.003 * rng.uniform() * rng.uniform()
        self._room_width_hz = rng.choice((1000.0, 3000.0, 16000.0))
        rng = self._stream("camera")
        self._shake = shake(rng) if rng.chance(_SHAKE) else no_shake()

    def _stream(self, *part: str | int) -> Stream:
        return Stream(*self._name, *part)

    @property
    def families(self) -> tuple[str, ...]:
        """Kind of each source that is named and heard."""
        return tuple(source.family for source in self.sources)

    def events(self) -> tuple[Event, ...]:
        """Return the audible contacts in order of time."""
        events = []
        for i, source in enumerate(self.sources):
            for time_s, x_px, y_px, strength in source.hits:
                frame = frame_at(time_s)
                x_px, y_px = x_px - int(self._shake[0][frame]), y_px - int(self._shake[1][frame])
                events.append(Event(time_s, source.family, i, x_px, y_px, strength))
        return tuple(sorted(events))

    def frames(self) -> NDArray[np.uint8]:
        """Paint the frames, (100, 64, 64, 3)."""
        rng = self._stream("scenery")
        canvas = Canvas(background(rng, self._floor_px))
        for _ in range(2):
            if not rng.chance(_DISTRACTOR):
                break
            draw_distractor(rng, canvas)
        for source in (*self.bystanders, *self.sources):
            source.draw(canvas)
        if rng.chance(_OCCLUSION):
            draw_occluder(rng, canvas)
        return canvas.crop(*self._shake)

    def pcm(self, realisation: int = 0) -> NDArray[np.int16]:
        """Return the sound, (64000,).

        Parameters
        ----------
        realisation
            0 is the clip's own sound. Others have the same contacts, pitches and strengths, but other background
            noise and another stochastic part of each sound.
        """
        track = self._room(realisation)
        for i, source in enumerate(self.sources):
            track += source.loudness * source.sound(self._stream("sound", realisation, i))
        return to_pcm(track)

    def room_pcm(self, realisation: int = 0) -> NDArray[np.int16]:
        """Return the background noise alone, (64000,)."""
        return to_pcm(self._room(realisation))

    def _room(self, realisation: int) -> Float64s:
        rng = self._stream("room", realisation)
        return silence() + self._room_rms * band(rng, N_SAMPLES, 0, self._room_width_hz)


def make_clip(split: str, seed: int, index: int) -> MiniClip:
    """Render one clip in memory.

    >>> make_clip("train", seed=0, index=5).pcm.shape
    (64000,)
    """
    scene = Scene(split, seed, index)
    return MiniClip(
        scene.clip_id,
        scene.caption,
        scene.families,
        tuple(source.family for source in scene.bystanders),
        scene.events(),
        scene.frames(),
        scene.pcm(),
    )


def parse_clip_id(clip_id: str) -> tuple[str, int, int]:
    """Return the split, seed and index that a clip id stands for.

    Raises
    ------
    UsageError
        If it is not an id of this world.
    """
    match = _CLIP_ID.fullmatch(clip_id)
    if match is None:
        raise UsageError(f"{clip_id!r} is not a clip of t2av-mini; its ids look like 'test-s0-000000'")
    return match[1], int(match[2]), int(match[3])


def is_unseen(family: str, colour: str) -> bool:
    """Whether this pair of family and colour is kept out of the training split."""
    return (FAMILIES.index(family) + 3 * tuple(COLOURS).index(colour)) % 8 == 0


def _plan_sources(rng: Stream, split: str, floor_px: float) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Draw what is seen; return what sounds, and what does not."""
    if rng.chance(_TWO_SOURCES):
        # Two families side by side, each smaller and with fewer events.
        chosen = rng.sample(_SOURCES, 2)
        slots = [Slot(SIZE_PX * share, floor_px, 0.66, 3) for share in (0.27, 0.74)]
    else:
        chosen = [rng.choice(_SOURCES)]
        scale = rng.uniform(0.8, 1.05)
        slots = [Slot(rng.uniform(26, 38), floor_px, scale, 5)]
    sources = []
    for source, slot in zip(chosen, slots, strict=True):
        colours = [name for name in COLOURS if split != "train" or not is_unseen(source.family, name)]
        sources.append(source(rng, slot, rng.choice(colours)))
    if len(sources) == 2 and rng.chance(_ONE_NAMED):
        named = rng.integer(2)
        return (sources[named],), (sources[1 - named],)
    return tuple(sources), ()
