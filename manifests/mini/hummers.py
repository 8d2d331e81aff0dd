"""Sources that sound all the time: pitch and loudness follow the picture, without events."""

from __future__ import annotations

import numpy as np

from t2av_bench.manifests.mini.canvas import Canvas, shade
from t2av_bench.manifests.mini.constants import FRAME_TIMES_S, N_SAMPLES, SR_HZ
from t2av_bench.manifests.mini.exact import Float64s, cos_turns, sin_turns, smoothstep
from t2av_bench.manifests.mini.sound import band, tone
from t2av_bench.manifests.mini.source import Source, Words
from t2av_bench.manifests.mini.stream import Stream
from t2av_bench.manifests.mini.strikers import STEEL

_SAMPLE_TIMES_S = np.arange(N_SAMPLES) / SR_HZ


class Wheel(Source):
    """A wheel hums: the faster it turns, the higher and louder."""

    family = "wheel"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        self.factor = self.choose_size(rng)
        self.radius = 13 * k * self.factor
        self.course = rng.choice(("steady", "up", "down"))
        slow, fast = rng.uniform(0.25, 0.5), rng.uniform(1.1, 1.6)
        steady = rng.uniform(slow, fast)
        self.ends = {"steady": (steady, steady), "up": (slow, fast), "down": (fast, slow)}[self.course]
        self.turn_s = (rng.uniform(0.4, 1.4), rng.uniform(2.4, 3.6))
        how = "slowly " if steady < 0.6 else "quickly " if steady > 1.1 else ""
        self.words = {
            "steady": Words("wheel", f"spins {how}and hums", f"spinning {how}and humming"),
            "up": Words("wheel", "hums as it speeds up", "humming as it speeds up"),
            "down": Words("wheel", "hums as it slows down", "humming as it slows down"),
        }[self.course]

    def speed(self, times_s: Float64s) -> Float64s:
        """Return the speed in turns per second."""
        start_s, end_s = self.turn_s
        return self.ends[0] + (self.ends[1] - self.ends[0]) * smoothstep((times_s - start_s) / (end_s - start_s))

    def draw(self, canvas: Canvas) -> None:
        k, x, floor, radius = self.slot.scale, self.slot.x_px, self.slot.floor_px, self.radius
        y = floor - radius - 4 * k
        canvas.bar(x, y, x - 8 * k, floor, 1.4 * k, STEEL)
        canvas.bar(x, y, x + 8 * k, floor, 1.4 * k, STEEL)
        canvas.disc(x, y, radius, shade(self.colour, 55))
        canvas.ring(x, y, radius - 1.5, self.colour, half_width=1.6)
        turns = np.add.accumulate(self.speed(FRAME_TIMES_S)) / 25.0
        for spoke in range(3):
            angle = turns + spoke / 3
            colour = (250, 246, 220) if spoke == 0 else self.colour
            canvas.bar(
                x,
                y,
                x + (radius - 3) * sin_turns(angle),
                y - (radius - 3) * cos_turns(angle),
                1.1 * k,
                colour,
                ink=False,
            )
        canvas.disc(x, y, 2.2 * k, (70, 70, 78))

    def sound(self, noise: Stream) -> Float64s:
        speed = self.speed(_SAMPLE_TIMES_S)
        turns = np.add.accumulate(speed * (260.0 / self.factor)) / SR_HZ
        hum = tone(turns, (0.6, 0.3, 0.2, 0.1), noise.uniform())
        wobble = 1.0 + 0.1 * sin_turns(np.add.accumulate(speed * 3.0) / SR_HZ + noise.uniform())
        rush = band(noise, N_SAMPLES, 1500, 1200) * 0.04
        return np.asarray((hum * wobble + rush) * (0.15 + 0.25 * speed))


class Siren(Source):
    """A vehicle with a siren drives past: loudest when nearest, and its pitch falls as it passes."""

    family = "siren"

    def plan(self, rng: Stream) -> None:
        k = self.slot.scale
        self.vehicle = rng.choice(("police car", "ambulance", "fire engine"))
        self.low_hz = {"police car": 520.0, "ambulance": 440.0, "fire engine": 360.0}[self.vehicle]
        self.ratio = {"police car": 1.5, "ambulance": 1.33, "fire engine": 1.26}[self.vehicle]
        self.half_w = {"police car": 9.0, "ambulance": 10.5, "fire engine": 12.5}[self.vehicle] * k
        self.half_h = {"police car": 4.0, "ambulance": 6.0, "fire engine": 5.5}[self.vehicle] * k
        self.side = rng.choice((-1.0, 1.0))
        self.speed = rng.uniform(14, 34)  # px/s
        self.nearest_s = rng.uniform(1.2, 2.8)
        self.period_s, self.phase = rng.uniform(0.7, 1.3), rng.uniform()
        way = "from left to right" if self.side > 0 else "from right to left"
        self.pace = "slowly" if self.speed < 18 else "quickly" if self.speed > 29 else ""
        self.words = Words(self.vehicle, f"passes {way} with its siren on", f"passing {way} with its siren on")

    def draw(self, canvas: Canvas) -> None:
        k, floor = self.slot.scale, self.slot.floor_px
        x = self.slot.x_px + self.side * self.speed * (FRAME_TIMES_S - self.nearest_s)
        canvas.box(32, floor + 2, 40, 2.5, (62, 62, 68), ink=False)
        y = floor - 2.5 * k - self.half_h
        canvas.box(x, y, self.half_w, self.half_h, self.colour)
        canvas.box(
            x + self.side * self.half_w * 0.55,
            y - self.half_h * 0.25,
            self.half_w * 0.28,
            self.half_h * 0.4,
            (170, 214, 240),
            ink=False,
        )
        for wheel in (-0.55, 0.55):
            canvas.disc(x + wheel * self.half_w, floor - 2.2 * k, 2.6 * k, (52, 52, 56))
        high = self._wail(FRAME_TIMES_S) > 0.0
        for on, colour, dx in ((high, (70, 130, 255), 2.2), (~high, (255, 60, 60), -2.2)):
            canvas.disc(
                x + dx * k, y - self.half_h - 1.2 * k, 2.1 * k, colour, ink=False, alpha=np.where(on, 1.0, 0.25)
            )

    def _wail(self, times_s: Float64s) -> Float64s:
        """Return how high the siren is, -1 to 1; the blue light is lit in the upper half, the red one in the lower."""
        return sin_turns(times_s / self.period_s + self.phase)

    def sound(self, noise: Stream) -> Float64s:
        away = self.speed * (_SAMPLE_TIMES_S - self.nearest_s) / 12.0
        root = np.sqrt(1.0 + away * away)
        # No steps in pitch: they would sound like events.
        pitch_hz = self.low_hz * (1.0 + (self.ratio - 1.0) * (0.5 + 0.5 * self._wail(_SAMPLE_TIMES_S)))
        pitch_hz = pitch_hz * (1.0 - 0.05 * away / root)  # Doppler, larger than life
        turns = np.add.accumulate(pitch_hz) / SR_HZ
        horn = tone(turns, (0.5, 0.25, 0.2, 0.1), noise.uniform()) + band(noise, N_SAMPLES, 0, 500) * 0.05
        return np.asarray(0.6 * horn / root)
