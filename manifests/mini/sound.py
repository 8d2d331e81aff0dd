"""Sound from tones and noise, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from t2av_bench.manifests.mini.constants import N_SAMPLES, SR_HZ
from t2av_bench.manifests.mini.exact import Float64s, halve, sin_turns
from t2av_bench.manifests.mini.stream import LSB, Stream

_ATTACK_SAMPLES = 16  # 1 ms: no click, yet the onset is where the event is
_HALVINGS = 12  # a decaying sound ends at 2^-12 of its peak, below the background noise


def silence() -> Float64s:
    """Return an empty track, (64000,)."""
    return np.zeros(N_SAMPLES)


def add(track: Float64s, start_s: float, sound: Float64s) -> None:
    """Add a sound to a track from a moment on; what passes the end is cut."""
    start = int(start_s * SR_HZ + 0.5)
    room = sound[: max(0, len(track) - start)]
    track[start : start + len(room)] += room


def decay(half_life_s: float) -> Float64s:
    """Envelope of a struck body: 1 ms attack, then halved every ``half_life_s``."""
    time_s = np.arange(int(half_life_s * _HALVINGS * SR_HZ)) / SR_HZ
    return halve(time_s / half_life_s) * np.minimum(np.arange(len(time_s)) / _ATTACK_SAMPLES, 1.0)


def tone(turns: Float64s, amplitudes: Sequence[float], phase: float = 0.0) -> Float64s:
    """Harmonic tone of a running phase in turns; ``amplitudes`` of partials 1, 2, …."""
    total = np.zeros(len(turns))
    for i, amplitude in enumerate(amplitudes):
        total += amplitude * sin_turns(turns * (i + 1.0) + phase * (i + 1.0))
    return total


def struck(noise: Stream, pitch_hz: float, ratios: Sequence[float], half_life_s: float) -> Float64s:
    """Inharmonic body that rings after a blow; peak about 1.

    The phase of each partial and up to a fifth of its amplitude are chance.
    """
    total: Float64s = np.zeros(int(half_life_s * _HALVINGS * SR_HZ))
    for rank, ratio in enumerate(ratios, start=1):
        # Higher partials are weaker and die sooner.
        envelope = decay(half_life_s / rank)
        turns = np.arange(len(envelope)) * (pitch_hz * ratio / SR_HZ) + noise.uniform()
        total[: len(envelope)] += sin_turns(turns) * envelope * (noise.uniform(0.8, 1.0) / (rank + 0.5))
    return total


def glide(noise: Stream, from_hz: float, to_hz: float, half_life_s: float) -> Float64s:
    """Tone that slides from one pitch to another within four half-lives; peak 1."""
    envelope = decay(half_life_s)
    progress = np.minimum(np.arange(len(envelope)) / (4.0 * half_life_s * SR_HZ), 1.0)
    turns = np.add.accumulate((from_hz + (to_hz - from_hz) * progress) / SR_HZ)
    return sin_turns(turns + noise.uniform()) * envelope


def burst(noise: Stream, centre_hz: float, width_hz: float, half_life_s: float) -> Float64s:
    """Decaying band of noise; RMS about 1/3 at the peak of the envelope."""
    envelope = decay(half_life_s)
    return band(noise, len(envelope), centre_hz, width_hz) * envelope / 3.0


def band(noise: Stream, count: int, centre_hz: float, width_hz: float) -> Float64s:
    """Noise of unit variance around ``centre_hz``, (count,): low-passed noise on a carrier.

    The low-pass is a moving sum of integers, so it is exact.
    """
    length = max(1, int(SR_HZ / width_hz))
    sums = np.concatenate([[0], np.add.accumulate(noise.white(count + length - 1))])
    low = (sums[length:] - sums[:-length]) * (LSB / sqrt(length))
    if centre_hz <= 0:
        return np.asarray(low)
    carrier = sin_turns(np.arange(count) * (centre_hz / SR_HZ) + noise.uniform())
    return np.asarray(low * carrier * sqrt(2.0))


def to_pcm(track: Float64s) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Round a track to 16-bit samples; full scale is 1."""
    return np.rint(np.clip(track, -1.0, 1.0) * 32767.0).astype(np.int16)
