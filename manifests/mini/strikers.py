"""Sources that strike on purpose, and sometimes only pretend to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from t2av_bench.manifests.mini.canvas import Canvas, Colour, shade
from t2av_bench.manifests.mini.constants import FRAME_TIMES_S
from t2av_bench.manifests.mini.exact import Float64s, cos_turns, sin_turns, smoothstep
from t2av_bench.manifests.mini.motion import Beat, plan_beats, stroke_gap
from t2av_bench.manifests.mini.sound import add, burst, silence, struck
from t2av_bench.manifests.mini.source import Hit, Source, Words
from t2av_bench.manifests.mini.stream import Stream

WOOD: Colour = (150, 104, 62)
STEEL: Colour = (150, 156, 166)


def hits_at(beats: Sequence[Beat], x_px: float, y_px: float) -> tuple[Hit, ...]:
    """Return the contacts among the strokes, all in one place."""
    return tuple(Hit(beat.time_s, x_px, y_px, beat.strength) for beat in beats if beat.touches)


class Hammer(Source):
    """A hammer swings down on an anvil."""

    family = "hammer"

    def plan(self, rng: Stream) -> None:
        self.factor = self.choose_size(rng)
        self.side = rng.choice((-1.0, 1.0))
        self.pitch_hz = rng.uniform(900, 1050) / self.factor
        beats = plan_beats(rng, self.slot.max_events)
        self.gap = stroke_gap(beats)
        self.top_px = self.slot.floor_px - 14 * self.slot.scale
        self.x_px = self.slot.x_px - self.side * 7 * self.slot.scale
        self.hits = hits_at(beats, self.x_px, self.top_px)
        object_ = rng.choice(("an anvil", "an iron block"))
        self.words = Words("hammer", f"strikes {object_}", f"striking {object_}")

    def draw(self, canvas: Canvas) -> None:
        k, x, top, floor = self.slot.scale, self.x_px, self.top_px, self.slot.floor_px
        canvas.box(x, floor - 3 * k, 5 * k, 3.5 * k, shade(STEEL, 55))
        canvas.box(x, top + 3.5 * k, 9 * k, 3.5 * k, shade(STEEL, 75))
        head_h = 4.0 * k * self.factor
        length = 22 * k
        # The handle turns about the hand, which is level with the head at contact.
        hand_x, hand_y = x + self.side * length, top - head_h
        turns = self.gap * 0.2
        head_x = hand_x - self.side * length * cos_turns(turns)
        head_y = hand_y - length * sin_turns(turns)
        canvas.bar(hand_x, hand_y, head_x, head_y, 1.6 * k, WOOD)
        off_x, off_y = head_h * self.side * sin_turns(turns), head_h * cos_turns(turns)
        canvas.bar(
            head_x + off_x / 2,
            head_y - off_y / 2,
            head_x - off_x / 2,
            head_y + off_y / 2,
            head_h / 2 + 0.4,
            self.colour,
        )

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            blow = struck(noise, self.pitch_hz, (1.0, 2.76, 5.4), 0.09) * 0.8
            add(track, hit.time_s, hit.strength * blow)
            add(track, hit.time_s, hit.strength * burst(noise, 3000, 2500, 0.008))
        return track


class Drum(Source):
    """A stick beats a drum, whose skin gives way."""

    family = "drum"

    def plan(self, rng: Stream) -> None:
        self.factor = self.choose_size(rng)
        self.pitch_hz = rng.uniform(130, 150) / (self.factor * self.factor)
        beats = plan_beats(rng, self.slot.max_events)
        self.gap = stroke_gap(beats, approach_s=0.18)
        self.half_w = 11 * self.slot.scale * self.factor
        self.top_px = self.slot.floor_px - 15 * self.slot.scale * self.factor
        self.hits = hits_at(beats, self.slot.x_px, self.top_px)
        self.words = Words("drum", "is beaten with a stick", "being beaten with a stick")

    def draw(self, canvas: Canvas) -> None:
        k, x, top, floor = self.slot.scale, self.slot.x_px, self.top_px, self.slot.floor_px
        canvas.box(x, (top + floor) / 2, self.half_w, (floor - top) / 2, self.colour)
        canvas.box(x, floor - 2.5 * k, self.half_w - 1, 1, shade(self.colour, 60), ink=False)
        dip = np.where(self.gap == 0.0, 1.5, 0.0)
        canvas.box(x, top + dip, self.half_w + 0.5, 1.8, (238, 228, 206))
        tip_y = top - 3 * k + dip - self.gap * 20 * k
        canvas.bar(x + 17 * k, tip_y - 8 * k - self.gap * 3 * k, x, tip_y, 1.3 * k, WOOD)
        canvas.disc(x, tip_y, 3 * k, (226, 196, 150))

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, self.pitch_hz, (1.0, 1.59, 2.14), 0.07))
            add(track, hit.time_s, hit.strength * 0.9 * burst(noise, 0, 900, 0.02))
        return track


class Clap(Source):
    """Two bars clap together."""

    family = "clap"

    def plan(self, rng: Stream) -> None:
        self.factor = self.choose_size(rng)
        self.centre_hz = rng.uniform(1500, 1700) / self.factor
        beats = plan_beats(rng, self.slot.max_events)
        self.gap = stroke_gap(beats, approach_s=0.16, back_s=0.25)
        self.y_px = self.slot.floor_px - 17 * self.slot.scale
        self.hits = hits_at(beats, self.slot.x_px, self.y_px)
        self.words = Words("pair of bars", "claps together", "clapping together")

    def draw(self, canvas: Canvas) -> None:
        k, x = self.slot.scale, self.slot.x_px
        half_w, half_h = 3 * k, 12 * k * self.factor
        for side, colour in ((-1, self.colour), (1, shade(self.colour, 80))):
            canvas.box(x + side * (half_w + self.gap * 12 * k), self.y_px, half_w, half_h, colour)

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * 1.2 * burst(noise, self.centre_hz, 1200, 0.018))
        return track


class Xylophone(Source):
    """A mallet plays the bars of a xylophone: which bar is struck sets the pitch."""

    family = "xylophone"

    def plan(self, rng: Stream) -> None:
        self.n_bars = 4 if self.slot.scale > 0.8 else 3
        k = self.slot.scale
        self.pitch_step = 5.0 / 4.0
        self.low_hz = rng.choice((520.0, 620.0))
        beats = plan_beats(rng, self.slot.max_events)
        self.gap = stroke_gap(beats)
        self.notes = tuple(rng.integer(self.n_bars) for _ in beats)
        self.top_px = self.slot.floor_px - 9 * k
        self.bars_px = tuple(self.slot.x_px + (i - (self.n_bars - 1) / 2) * 10 * k for i in range(self.n_bars))
        self.beats = beats
        self.hits = tuple(
            Hit(beat.time_s, self.bars_px[note], self.top_px, beat.strength)
            for beat, note in zip(beats, self.notes, strict=True)
            if beat.touches
        )
        self.words = Words("xylophone", "is played with a mallet", "being played with a mallet")

    def draw(self, canvas: Canvas) -> None:
        k, top = self.slot.scale, self.top_px
        canvas.box(self.slot.x_px, top + 6 * k, self.n_bars * 5 * k, 1.5, WOOD)
        for i, x in enumerate(self.bars_px):
            half_h = (9 - 1.4 * i) * k / 2
            canvas.box(x, top + half_h, 4 * k, half_h, shade(self.colour, 115 - 15 * i))
        # The mallet is above the next bar 0.2 s before it falls.
        mallet_x = np.full(len(FRAME_TIMES_S), self.bars_px[self.notes[0]])
        for before, after in zip(range(len(self.notes)), range(1, len(self.notes)), strict=False):
            moved = smoothstep((FRAME_TIMES_S - self.beats[before].time_s - 0.1) / 0.2)
            mallet_x = mallet_x + moved * (self.bars_px[self.notes[after]] - self.bars_px[self.notes[before]])
        mallet_y = top - 3 * k - self.gap * 18 * k
        canvas.bar(mallet_x, mallet_y, mallet_x + 9 * k, mallet_y - 14 * k, 1.0 * k, WOOD)
        canvas.disc(mallet_x, mallet_y, 3 * k, (236, 236, 240))

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for beat, note in zip(self.beats, self.notes, strict=True):
            if beat.touches:
                pitch_hz = self.low_hz
                for _ in range(note):
                    pitch_hz *= self.pitch_step
                add(track, beat.time_s, beat.strength * struck(noise, pitch_hz, (1.0, 3.9), 0.1))
        return track


class Piston(Source):
    """A piston stamps a plate and lets off steam."""

    family = "piston"

    def plan(self, rng: Stream) -> None:
        self.factor = self.choose_size(rng)
        self.pitch_hz = rng.uniform(85, 95) / self.factor
        self.beats = plan_beats(rng, min(3, self.slot.max_events), min_gap_s=0.7)
        self.gap = stroke_gap(self.beats, approach_s=0.22, hold_s=0.12, back_s=0.4)
        self.plate_px = self.slot.floor_px - 6 * self.slot.scale
        self.hits = hits_at(self.beats, self.slot.x_px, self.plate_px)
        self.words = Words("piston", "stamps a steel plate", "stamping a steel plate")

    def draw(self, canvas: Canvas) -> None:
        k, x, plate = self.slot.scale, self.slot.x_px, self.plate_px
        canvas.box(x, plate + 3 * k, 14 * k, 3 * k, STEEL)
        half_w, half_h = 8 * k * self.factor, 4.5 * k
        head_y = plate - half_h - self.gap * 20 * k
        canvas.box(x, head_y - half_h - 20 * k, 2.2 * k, 20 * k, shade(STEEL, 80))
        canvas.box(x, head_y, half_w, half_h, self.colour)
        for hit in self.hits:
            age = (FRAME_TIMES_S - hit.time_s) / 0.45
            puff = np.where((age >= 0) & (age < 1), 0.8 * (1 - age), 0.0)
            for side in (-1, 1):
                reach = half_w + 2 * k + np.clip(age, 0, 1) * 7 * k
                canvas.disc(
                    x + side * reach,
                    plate - 2 * k - np.clip(age, 0, 1) * 5 * k,
                    (2 + 2 * np.clip(age, 0, 1)) * k,
                    (235, 238, 240),
                    ink=False,
                    alpha=puff,
                )

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, self.pitch_hz, (1.0, 2.3, 4.1), 0.06))
            add(track, hit.time_s, hit.strength * 0.8 * burst(noise, 4500, 2600, 0.06))
        return track


class Door(Source):
    """A sliding door slams shut, or stops half-way in silence."""

    family = "door"

    def plan(self, rng: Stream) -> None:
        self.factor = self.choose_size(rng)
        self.side = rng.choice((-1.0, 1.0))
        self.pitch_hz = rng.uniform(72, 82) / self.factor
        beats = plan_beats(rng, min(2, self.slot.max_events), min_gap_s=1.1)
        self.gap = stroke_gap(beats, approach_s=0.26, hold_s=0.2, back_s=0.6)
        self.half_h = 14 * self.slot.scale * self.factor
        self.post_px = self.slot.x_px + self.side * 13 * self.slot.scale
        self.hits = hits_at(beats, self.post_px, self.slot.floor_px - self.half_h)
        self.words = Words("sliding door", "slams shut", "slamming shut")

    def draw(self, canvas: Canvas) -> None:
        k, y = self.slot.scale, self.slot.floor_px - self.half_h
        half_w = 6.5 * k
        canvas.box(self.slot.x_px, y, 13 * k, self.half_h, (34, 32, 44), ink=False)  # the dark room behind
        canvas.bar(self.slot.x_px - 15 * k, y - self.half_h, self.slot.x_px + 15 * k, y - self.half_h, 1, STEEL)
        canvas.box(self.post_px + self.side * 2 * k, y, 2 * k, self.half_h, WOOD)
        door_x = self.post_px - self.side * (half_w + self.gap * 13 * k)
        canvas.box(door_x, y, half_w, self.half_h, self.colour)
        canvas.disc(door_x + self.side * 3.5 * k, y, 1.4, (245, 230, 150))

    def sound(self, noise: Stream) -> Float64s:
        track = silence()
        for hit in self.hits:
            add(track, hit.time_s, hit.strength * struck(noise, self.pitch_hz, (1.0, 1.8, 3.1, 4.7), 0.1))
            add(track, hit.time_s, hit.strength * 1.2 * burst(noise, 0, 700, 0.035))
        return track
