"""What every sounding object has: a place, a look, contacts, a sound and words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from t2av_bench.manifests.mini.canvas import Canvas, Colour
from t2av_bench.manifests.mini.constants import N_FRAMES
from t2av_bench.manifests.mini.exact import Float64s
from t2av_bench.manifests.mini.stream import Stream

COLOURS: dict[str, Colour] = {
    "red": (222, 52, 48),
    "orange": (244, 142, 38),
    "yellow": (248, 220, 64),
    "green": (62, 178, 76),
    "blue": (58, 112, 226),
    "purple": (156, 76, 196),
    "pink": (246, 138, 184),
    "white": (244, 244, 240),
}


class Slot(NamedTuple):
    """The part of the picture that a source has to itself.

    Attributes
    ----------
    x_px
        Its middle.
    floor_px
        Height of the ground, y downwards.
    scale
        1 when the source has the whole picture, less when two share it.
    max_events
        How many contacts it may plan.
    """

    x_px: float
    floor_px: float
    scale: float
    max_events: int


class Hit(NamedTuple):
    """One audible contact."""

    time_s: float
    x_px: float
    y_px: float
    strength: float


class Words(NamedTuple):
    """What a caption says of a source: ``a [small] [red]`` *noun* *does* / *doing*."""

    noun: str
    does: str
    doing: str


class Source(ABC):
    """One sounding object, drawn from a random stream.

    Parameters
    ----------
    rng
        Where everything about the object and its motion comes from.
    slot
        Its place.
    colour
        A name of :data:`COLOURS`.
    """

    family: ClassVar[str]
    words: Words
    size: str = ""
    pace: str = ""
    hits: tuple[Hit, ...] = ()
    gap: Float64s
    """Distance from contact at each frame, (100,): 0 exactly while something touches, 1 at rest."""

    def __init__(self, rng: Stream, slot: Slot, colour: str) -> None:
        self.slot = slot
        self.colour_name = colour
        self.colour = COLOURS[colour]
        self.loudness = rng.uniform(0.12, 0.5)
        self.gap = np.ones(N_FRAMES)
        self.plan(rng)

    @abstractmethod
    def plan(self, rng: Stream) -> None:
        """Draw the object's properties, motion and contacts."""

    @abstractmethod
    def draw(self, canvas: Canvas) -> None:
        """Paint the object."""

    @abstractmethod
    def sound(self, noise: Stream) -> Float64s:
        """Return the object's track, (64000,), peak about 1; chance comes from ``noise`` only."""

    def choose_size(self, rng: Stream) -> float:
        """Draw a size factor and the word for it: small is high-pitched, large is low."""
        self.size, factor = rng.choice((("small", 0.75), ("", 1.0), ("large", 1.3)))
        return factor

    def choose_pace(self, period_s: float, fast_s: float, slow_s: float) -> None:
        """Set the word for the pace from a typical time between contacts."""
        self.pace = "quickly" if period_s < fast_s else "slowly" if period_s > slow_s else ""
