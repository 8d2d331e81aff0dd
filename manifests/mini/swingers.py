"""Sources that move by themselves: they fall, swing and bounce."""

from __future__ import annotations

import numpy as np

from t2av_bench.manifests.mini.canvas import Canvas, Colour, shade
from t2av_bench.manifests.mini.constants import CONTACT_S, DURATION_S, FRAME_TIMES_S
from t2av_bench.manifests.mini.exact import Float64s, cos_turns, sin_turns
from t2av_bench.manifests.mini.motion import between, plan_beats, plan_period
from t2av_bench.manifests.mini.sound import add, burst, glide, silence, struck
from t2av_bench.manifests.mini.source import Hit, Source, Words
from t2av_bench.manifests.mini.stream import Stream
from t2av_bench.manifests.mini.strikers import STEEL, WOOD

_FLOORS: dict[str, tuple[Colour, float, tuple[float, ...], float]] = {
    # material: colour, pitch of a ball of medium size, partials, half-life
    "wooden": ((164, 112, 64), 330.0, (1.0, 2.4, 4.2), 0.03),
    "metal": ((160, 170, 184), 760.0, (1.0, 2.7, 5.2), 0.11),
    "stone": ((104, 102, 106), 190.0, (1.0, 1.7, 3.3), 0.02),
    "glass": ((150, 222, 232), 1500.0, (1.0, 2.3), 0.08),
}


class Bounce(Source):
    """A ball bounces on a floor whose material sets the pitch."""

    family = "bounce"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        self.factor = self.choose_size(rng)
        self.material = rng.choice(tuple(_FLOORS))
        self.radius = 5 * k * self.factor
        self.drop_px = rng.uniform(22, 30) * k
        first_gap_s = rng.uniform(0.95, 1.25) if self.slot.max_events > 3 else rng.uniform(1.2, 1.5)
        keep = rng.uniform(0.88, 0.97)
        times, gap_s, strength = [rng.uniform(0.3, 0.9)], first_gap_s, 1.0
        self.fall_s = first_gap_s / 2
        strengths = [strength]
        while times[-1] < DURATION_S:
            times.append(times[-1] + gap_s)
            strength *= keep
            strengths.append(strength)
            gap_s *= keep
        if times[-2] > DURATION_S - 0.2:  # too late to be heard: the same bounces, begun sooner
            times = [time_s - 0.2 for time_s in times]
        self.times = tuple(times)
        self.strengths = tuple(strengths)
        x0, x1 = (self.slot.x_px + rng.uniform(-9, 9) * k for _ in range(2))
        self.x = x0 + (x1 - x0) * FRAME_TIMES_S / DURATION_S
        self.hits = tuple(
            Hit(time_s, x0 + (x1 - x0) * time_s / DURATION_S, self.slot.floor_px, strength)
            for time_s, strength in zip(times, strengths, strict=True)
            if time_s < DURATION_S
        )
        self.gap = self._height()
        self.choose_pace(first_gap_s, 1.03, 1.25)
        self.words = Words("ball", f"bounces on a {self.material} floor", f"bouncing on a {self.material} floor")

    def _height(self) -> Float64s:
        """Height over the floor in parts of the first drop, (100,)."""
        before_s = self.times[0] - self.fall_s
        fallen = np.clip((FRAME_TIMES_S - before_s) / self.fall_s, 0.0, 1.0)
        first = np.where(self.times[0] > FRAME_TIMES_S, 1.0 - fallen * fallen, 0.0)
        number, progress = between((self.times[0] - 9.0, *self.times, self.times[-1] + 9.0))
        power = np.asarray((0.0, *self.strengths))[number]
        return np.asarray(first + power * power * 4.0 * progress * (1.0 - progress))

    def draw(self, canvas: Canvas) -> None:
        k, floor = self.slot.scale, self.slot.floor_px
        colour = _FLOORS[self.material][0]
        canvas.box(self.slot.x_px, floor + 3 * k, 19 * k, 3 * k, colour)
        canvas.box(self.slot.x_px, floor + 1.3, 18 * k, 0.6, shade(colour, 130), ink=False)
        y = floor - self.radius - self.gap * self.drop_px
        canvas.disc(self.x, y, self.radius, self.colour)
        canvas.disc(
            self.x - self.radius * 0.3, y - self.radius * 0.35, self.radius * 0.25, shade(self.colour, 160), ink=False
        )

    def sound(self, noise: Stream) -> Float64s:
        _, pitch_hz, ratios, half_life_s = _FLOORS[self.material]
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, pitch_hz / self.factor, ratios, half_life_s))
            add(track, hit.time_s, hit.strength * 0.5 * burst(noise, 1200, 1500, 0.006))
        return track


class Pendulum(Source):
    """A pendulum swings against a bell."""

    family = "pendulum"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        self.side = rng.choice((-1.0, 1.0))
        self.factor = self.choose_size(rng)
        self.pitch_hz = rng.uniform(1150, 1300) / self.factor
        low_s = 0.75 if self.slot.max_events > 3 else 1.1
        self.times = plan_period(rng, low_s, 1.6)
        self.length = 30 * k
        self.radius = 4.5 * k * self.factor
        self.pivot_px = (self.slot.x_px, self.slot.floor_px - 38 * k)
        _, progress = between(self.times)
        self.gap = 4.0 * progress * (1.0 - progress)
        touch_x = self.slot.x_px + self.side * self.radius
        self.hits = tuple(
            Hit(t, touch_x, self.pivot_px[1] + self.length, 0.8) for t in self.times if 0 <= t < DURATION_S
        )
        self.choose_pace(self.times[1] - self.times[0], 0.95, 1.3)
        self.words = Words("pendulum", "swings against a bell", "swinging against a bell")

    def draw(self, canvas: Canvas) -> None:
        k, (x, y), floor = self.slot.scale, self.pivot_px, self.slot.floor_px
        canvas.bar(x - 8 * k, y, x + 8 * k, y, 1.4 * k, WOOD)
        bell_x = x + self.side * (self.radius + 3.5 * k)
        canvas.bar(bell_x + self.side * 3 * k, floor, bell_x + self.side * 3 * k, y + self.length, 1, STEEL)
        canvas.disc(bell_x, y + self.length, 4 * k, (236, 190, 70))
        turns = self.gap * 0.13
        bob_x = x - self.side * self.length * sin_turns(turns)
        bob_y = y + self.length * cos_turns(turns)
        canvas.bar(x, y, bob_x, bob_y, 0.8, (214, 206, 190))
        canvas.disc(bob_x, bob_y, self.radius, self.colour)

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, self.pitch_hz, (1.0, 2.0, 3.0, 4.2), 0.13))
        return track


class Metronome(Source):
    """A rod ticks from stop to stop."""

    family = "metronome"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        low_s = 0.75 if self.slot.max_events > 3 else 1.1
        self.times = plan_period(rng, low_s, 1.4)
        self.first_side = rng.choice((-1.0, 1.0))
        self.pitch_hz = rng.choice((1500.0, 2100.0))
        self.length = 30 * k
        number, progress = between(self.times)
        start = np.where(number % 2 == 0, self.first_side, -self.first_side)
        self.lean = start * (1.0 - 2.0 * progress)
        self.gap = 1.0 - np.abs(self.lean)
        reach = float(sin_turns(0.09)) * self.length
        rise = float(cos_turns(0.09)) * self.length
        self.hits = tuple(
            Hit(
                t,
                self.slot.x_px + (reach if (i % 2 == 0) == (self.first_side > 0) else -reach),
                self.slot.floor_px - rise,
                0.8,
            )
            for i, t in enumerate(self.times)
            if 0 <= t < DURATION_S
        )
        self.choose_pace(self.times[1] - self.times[0], 0.9, 1.15)
        self.words = Words("metronome", "ticks back and forth", "ticking back and forth")

    def draw(self, canvas: Canvas) -> None:
        k, x, floor = self.slot.scale, self.slot.x_px, self.slot.floor_px
        canvas.box(x, floor - 5 * k, 11 * k, 5 * k, self.colour)
        turns = self.lean * 0.09
        tip_x, tip_y = x + self.length * sin_turns(turns), floor - self.length * cos_turns(turns)
        reach, rise = float(sin_turns(0.09)) * self.length, float(cos_turns(0.09)) * self.length
        for side in (-1, 1):
            canvas.bar(
                x + side * 10 * k, floor - 9 * k, x + side * (reach + 3.4 * k), floor - rise, 1.0, shade(WOOD, 80)
            )
        canvas.bar(x, floor - 9 * k, tip_x, tip_y, 1.2 * k, (232, 228, 214))
        canvas.box((x + 2 * tip_x) / 3, (floor + 2 * tip_y) / 3, 2.6 * k, 2.6 * k, (60, 60, 70))
        canvas.disc(tip_x, tip_y, 2.2 * k, shade(self.colour, 120))

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, self.pitch_hz, (1.0, 1.47), 0.012))
            add(track, hit.time_s, hit.strength * 0.5 * burst(noise, self.pitch_hz, 900, 0.006))
        return track


class Rain(Source):
    """Drops from a small cloud hit a puddle; those that miss it sink into the moss without a sound."""

    family = "rain"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        self.factor = self.choose_size(rng)
        self.pitch_hz = rng.uniform(800, 950) / self.factor
        self.beats = plan_beats(rng, self.slot.max_events)
        self.puddle_px = self.slot.x_px - 5 * k
        self.moss_px = self.slot.x_px + 13 * k
        self.places = tuple(
            (self.puddle_px + rng.uniform(-9, 9) * k) if beat.touches else self.moss_px + rng.uniform(-2, 2) * k
            for beat in self.beats
        )
        self.fall_s = rng.uniform(0.35, 0.5)
        self.hits = tuple(
            Hit(beat.time_s, x, self.slot.floor_px, beat.strength)
            for beat, x in zip(self.beats, self.places, strict=True)
            if beat.touches
        )
        away = np.stack([self._away(hit.time_s) for hit in self.hits])
        self.gap = np.minimum.reduce(away, axis=0)
        self.words = Words("rain cloud", "drips into a puddle", "dripping into a puddle")

    def _away(self, time_s: float) -> Float64s:
        """Height of a drop in parts of the whole fall, (100,): 1 before it and from the moment it is gone."""
        left = np.clip((time_s - FRAME_TIMES_S) / self.fall_s, 0.0, 1.0)
        height = 1.0 - (1.0 - left) * (1.0 - left)
        return np.where(time_s + CONTACT_S > FRAME_TIMES_S, height, 1.0)

    def draw(self, canvas: Canvas) -> None:
        k, floor = self.slot.scale, self.slot.floor_px
        cloud_y = floor - 38 * k
        canvas.box(self.slot.x_px, floor + 2.5, 20 * k, 3, (108, 84, 62))
        canvas.box(self.puddle_px, floor + 1.5, 11.5 * k, 1.5, (84, 150, 214), ink=False)
        canvas.box(self.moss_px, floor + 1.0, 4.5 * k, 2.5, (86, 140, 62), ink=False)
        for beat, x in zip(self.beats, self.places, strict=True):
            away = self._away(beat.time_s)
            falling = (beat.time_s - self.fall_s < FRAME_TIMES_S) & (beat.time_s + CONTACT_S > FRAME_TIMES_S)
            y = floor - away * (floor - cloud_y)
            canvas.bar(x, y - 3 * k, x, y, 1.7 * k * self.factor, (120, 200, 255), alpha=np.where(falling, 1.0, 0.0))
            if beat.touches:
                age = (FRAME_TIMES_S - beat.time_s) / 0.5
                fade = np.where((age >= 0) & (age < 1), 1.0 - age, 0.0)
                canvas.ring(
                    x, floor, (1.5 + 8 * np.clip(age, 0, 1)) * k, (240, 250, 255), flat=2.5, half_width=0.8, alpha=fade
                )
        for dx, dy, radius in ((-9, 1, 6), (9, 1, 6), (0, -1, 8)):
            canvas.disc(self.slot.x_px + dx * k, cloud_y + dy * k, radius * k, self.colour, ink=False)

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * glide(noise, self.pitch_hz, self.pitch_hz * 1.9, 0.03))
            add(track, hit.time_s, hit.strength * 0.5 * burst(noise, 3500, 3000, 0.01))
        return track
