"""The distortions, their levels and units, and which of a manifest's sounds each takes.

A level is a quantity in the distortion's unit; ``none`` is the one at which nothing changes. Levels stand in order of
strength.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t2av_bench.errors import UsageError
from t2av_bench.validation import distortions as waves
from t2av_bench.validation.distortions import Float32Array
from t2av_bench.validation.sounds import Sound, Sounds

Effect = Callable[[Float32Array, int, float, np.random.Generator], Float32Array]
INFINITY = float("inf")


@dataclass(frozen=True)
class Distortion(ABC):
    """Something that goes wrong with a set of sounds, by degrees.

    Attributes
    ----------
    name
        For options and tables.
    what
        What happens, as a clause.
    unit
        Of the levels; empty for shares.
    levels
        The usual ones, from weak to strong.
    none
        The level of no distortion.
    lowest, highest
        Levels that make sense.
    """

    name: str
    what: str
    unit: str
    levels: tuple[float, ...]
    none: float = 0.0
    lowest: float = 0.0
    highest: float = INFINITY

    def checked(self, levels: tuple[float, ...]) -> tuple[float, ...]:
        """Return a user's levels in order of strength, without ``none`` and repetitions.

        Raises
        ------
        UsageError
            If a level makes no sense, or none is left.
        """
        for level in levels:
            if not (np.isfinite(level) and self.lowest <= level <= self.highest):
                raise UsageError(
                    f"a level of {self.name} must lie between {self.lowest:g} and {self.highest:g}"
                    f"{' ' + self.unit if self.unit else ''}; got {level:g}"
                )
        found = sorted({level for level in levels if level != self.none}, key=self.strength)
        if not found:
            raise UsageError(f"{self.name} needs at least one level other than {self.none:g}, which changes nothing")
        return tuple(found)

    def strength(self, level: float) -> float:
        """Return a number that grows with how much a level distorts."""
        return -level if np.isinf(self.none) else abs(level - self.none)

    def objection(self, sounds: Sounds, level: float) -> str:
        """Return why a level cannot be applied to these clips, empty if it can."""
        return ""

    @abstractmethod
    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""

    def captions(self, sounds: Sounds, level: float) -> dict[str, str]:
        """Return the captions that change, by clip id."""
        return {}


@dataclass(frozen=True)
class OfWaveform(Distortion):
    """Every clip's own sound is changed.

    Attributes
    ----------
    effect
        Takes sound, sampling rate, level and the clip's random generator.
    """

    effect: Effect = lambda sound, *_: sound

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""
        sound = sounds.read(place)
        return sound._replace(samples=self.effect(sound.samples, sound.sr_hz, level, sounds.rng(self.name, place)))


@dataclass(frozen=True)
class Shift(OfWaveform):
    """The sound goes round in time, so it can be off by half a clip at most."""

    def objection(self, sounds: Sounds, level: float) -> str:
        """Return why a level cannot be applied to these clips, empty if it can."""
        shortest_s = min(clip.duration_s for clip in sounds.clips)
        if 2.0 * level > shortest_s:
            return f"needs clips of {2.0 * level:g} s or more; the shortest lasts {shortest_s:g} s"
        return ""


@dataclass(frozen=True)
class OfClips(Distortion):
    """A share of the clips is affected as a whole; those of a weaker level are among those of a stronger one."""

    highest: float = 1.0
    fewest: int = 1

    def objection(self, sounds: Sounds, level: float) -> str:
        """Return why a level cannot be applied to these clips, empty if it can."""
        if len(self.affected(sounds, level)) < self.fewest:
            return f"a share of {level:g} of {len(sounds.clips)} clips is fewer than {self.fewest}"
        return ""

    def affected(self, sounds: Sounds, level: float) -> list[int]:
        """Return the places of the clips that are affected."""
        return sounds.drawn(self.name)[: round(level * len(sounds.clips))]

    def exchanged(self, sounds: Sounds, level: float) -> dict[int, int]:
        """Return whose sound or caption each affected clip gets: one cycle, so that nobody keeps his own."""
        affected = self.affected(sounds, level)
        return dict(zip(affected, affected[1:] + affected[:1], strict=True))


@dataclass(frozen=True)
class Swap(OfClips):
    """Clips get one another's sounds."""

    fewest: int = 2

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""
        return sounds.lent(self.exchanged(sounds, level).get(place, place), place)


@dataclass(frozen=True)
class CaptionSwap(OfClips):
    """Clips get one another's captions, and keep their sounds."""

    fewest: int = 2

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the clip's own sound."""
        return sounds.read(place)

    def captions(self, sounds: Sounds, level: float) -> dict[str, str]:
        """Return the captions that change, by clip id."""
        pairs = self.exchanged(sounds, level).items()
        return {sounds.clips[place].clip_id: sounds.clips[other].caption for place, other in pairs}


@dataclass(frozen=True)
class Silence(OfClips):
    """Clips fall silent."""

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""
        sound = sounds.read(place)
        if place not in self.affected(sounds, level):
            return sound
        return sound._replace(samples=waves.near_silence(sound.samples, sounds.rng(self.name, place)))


@dataclass(frozen=True)
class Collapse(OfClips):
    """Clips of a group all get the sound of its first clip: few different sounds, each of them real."""

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""
        return sounds.lent(sounds.group(place)[0] if place in self.affected(sounds, level) else place, place)


@dataclass(frozen=True)
class Average(Distortion):
    """Sounds move towards the mean waveform of their group."""

    highest: float = 1.0

    def apply(self, sounds: Sounds, place: int, level: float) -> Sound:
        """Return the distorted sound of the clip at a place."""
        sound = sounds.read(place)
        if level == self.none:
            return sound
        others = [sounds.like(other, sound) for other in sounds.group(place) if other != place]
        return sound._replace(samples=waves.averaged(sound.samples, others, level))


_TIMES_S = (0.04, 0.1, 0.2, 0.5, 1.0, 2.0)
_SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)

DISTORTIONS: dict[str, Distortion] = {
    distortion.name: distortion
    for distortion in (
        Shift(
            "late",
            "the sound comes late, and goes round",
            "s",
            _TIMES_S,
            effect=lambda x, sr_hz, level, rng: waves.shifted(x, sr_hz, level),
        ),
        Shift(
            "early",
            "the sound comes early, and goes round",
            "s",
            _TIMES_S,
            effect=lambda x, sr_hz, level, rng: waves.shifted(x, sr_hz, -level),
        ),
        Swap("swap", "a share of the clips gets one another's sounds", "", _SHARES),
        CaptionSwap("captions", "a share of the clips gets one another's captions", "", _SHARES),
        OfWaveform(
            "noise",
            "white noise is added, at a signal-to-noise ratio",
            "dB",
            (40.0, 30.0, 20.0, 10.0, 0.0),
            none=INFINITY,
            lowest=-100.0,
            highest=200.0,
            effect=lambda x, sr_hz, level, rng: waves.with_noise(x, level, rng),
        ),
        OfWaveform(
            "low-pass",
            "what lies above a frequency is lost",
            "Hz",
            (6000.0, 4000.0, 2000.0, 1000.0, 500.0),
            none=INFINITY,
            lowest=20.0,
            highest=400_000.0,
            effect=lambda x, sr_hz, level, rng: waves.low_passed(x, sr_hz, level),
        ),
        OfWaveform(
            "speed",
            "the sound plays at another speed and pitch",
            "×",
            (0.98, 0.95, 0.9, 0.8, 0.65),
            none=1.0,
            lowest=0.1,
            highest=10.0,
            effect=lambda x, sr_hz, level, rng: waves.at_speed(x, sr_hz, level),
        ),
        OfWaveform(
            "gaps",
            "a share of every sound is silenced, in pieces of 0.1 s",
            "",
            (0.05, 0.1, 0.2, 0.4, 0.8),
            highest=1.0,
            effect=waves.with_gaps,
        ),
        OfWaveform(
            "shuffle",
            "a share of every sound's fragments of 0.25 s change places",
            "",
            (0.125, 0.25, 0.5, 0.75, 1.0),
            highest=1.0,
            effect=waves.shuffled,
        ),
        Silence("silence", "a share of the clips is silent", "", _SHARES),
        Average("average", "every sound moves towards the mean waveform of its kind", "", (0.1, 0.25, 0.5, 0.75, 1.0)),
        Collapse("collapse", "a share of the clips gets the one sound of their kind", "", _SHARES),
    )
}
