"""What can go wrong with a sound, as pure functions on waveforms.

Every function takes a sound of shape (samples,) or (samples, channels), float32, and returns one of the same shape.
At the level that means "none" it returns the sound itself, bit for bit. What is random comes from a generator that is
the same for all levels, so that a stronger level distorts what a weaker one did, and more.

Where pieces of sound meet that do not belong together, both are faded over 5 ms: a click would be an onset that the
distortion is not about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]

FADE_S = 0.005
GAP_S = 0.1
FRAGMENT_S = 0.25
DITHER_STEP = 2.0**-15


def shifted(sound: Float32Array, sr_hz: int, shift_s: float) -> Float32Array:
    """Move a sound in time, later for positive shifts; what leaves at one end comes in at the other.

    Going round keeps everything but the timing: no silence comes in that a score could notice instead.

    >>> shifted(np.array([1, 2, 3, 4], np.float32), 1, 1.0).tolist()
    [4.0, 1.0, 2.0, 3.0]
    """
    steps = round(shift_s * sr_hz) % len(sound)
    return _faded(np.roll(sound, steps, axis=0), [steps], sr_hz) if steps else sound


def with_noise(sound: Float32Array, snr_db: float, rng: np.random.Generator) -> Float32Array:
    """Add white Gaussian noise at a signal-to-noise ratio in decibels; infinity is none. Silence stays silent."""
    if np.isposinf(snr_db):
        return sound
    noise = rng.standard_normal(sound.shape, dtype=np.float32)
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)) / 10.0 ** (snr_db / 10.0))
    return np.asarray(sound + np.float32(level) * noise, np.float32)


def low_passed(sound: Float32Array, sr_hz: int, cutoff_hz: float) -> Float32Array:
    """Keep what lies below a frequency: Butterworth of order 8, forwards and backwards, so that nothing moves in time.

    At the cutoff it takes 6 dB, an octave above 96 dB. A cutoff at or above half the sampling rate is none.
    """
    if cutoff_hz >= sr_hz / 2:
        return sound
    from scipy import signal

    sections = signal.butter(8, cutoff_hz, fs=sr_hz, output="sos")
    # Odd padding must be shorter than the sound.
    padding = min(len(sound) - 1, round(0.1 * sr_hz))
    return np.asarray(signal.sosfiltfilt(sections, sound, axis=0, padlen=padding), np.float32)


def at_speed(sound: Float32Array, sr_hz: int, factor: float) -> Float32Array:
    """Play a sound faster (factor above 1) or slower, as a tape does: pitch and tempo change together.

    A slower sound loses its end; a faster one starts again from its beginning.
    """
    if factor == 1.0:
        return sound
    import soxr

    played = soxr.resample(sound, sr_hz * factor, sr_hz, quality="HQ")
    rounds = -(-len(sound) // len(played))
    seams = [len(played) * i for i in range(1, rounds)]
    return _faded(np.concatenate([played] * rounds)[: len(sound)], seams, sr_hz)


def with_gaps(sound: Float32Array, sr_hz: int, share: float, rng: np.random.Generator) -> Float32Array:
    """Silence a share of a sound, in pieces of 0.1 s at random places."""
    edges = _edges(len(sound), sr_hz, GAP_S)
    order = rng.permutation(len(edges) - 1)
    chosen = order[: round(share * len(order))]
    if len(chosen) == 0:
        return sound
    silenced = np.array(sound)
    for piece in chosen:
        silenced[edges[piece] : edges[piece + 1]] = 0.0
    return _faded(silenced, [edges[piece + side] for piece in chosen for side in (0, 1)], sr_hz)


def shuffled(sound: Float32Array, sr_hz: int, share: float, rng: np.random.Generator) -> Float32Array:
    """Put a share of a sound's fragments of 0.25 s in one another's places, none into its own."""
    whole = round(FRAGMENT_S * sr_hz)
    count = len(sound) // whole  # what is left at the end stays
    order = rng.permutation(count)
    moved = order[: round(share * count)]
    if len(moved) < 2:
        return sound
    result = np.array(sound)
    for place, source in zip(moved, np.roll(moved, 1), strict=True):
        result[place * whole : (place + 1) * whole] = sound[source * whole : (source + 1) * whole]
    return _faded(result, [(place + side) * whole for place in moved for side in (0, 1)], sr_hz)


def near_silence(sound: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Return the dither of a silent 16-bit file: -1, 0 or 1 step per sample. Digital silence would not be scored."""
    return np.asarray(rng.integers(-1, 2, sound.shape) * DITHER_STEP, np.float32)


def averaged(sound: Float32Array, others: Sequence[Float32Array], share: float) -> Float32Array:
    """Move a sound towards the mean of itself and others: ``(1 - share)`` of it and ``share`` of the mean.

    What a model does that is trained to the mean of all plausible waveforms. Others are sounds of the same shape.
    """
    if share == 0.0 or not others:
        return sound
    mean = np.mean([sound, *others], axis=0, dtype=np.float64)
    return np.asarray((1.0 - share) * sound + share * mean, np.float32)


def fitted(sound: Float32Array, length_n: int) -> Float32Array:
    """Cut a sound to a number of samples, or go on from its beginning: another clip's may be shorter."""
    rounds = -(-length_n // len(sound))
    return sound[:length_n] if rounds == 1 else np.concatenate([sound] * rounds)[:length_n]


def _edges(length_n: int, sr_hz: int, piece_s: float) -> list[int]:
    """Return the borders of pieces of a sound; the last one may be shorter."""
    return [*range(0, length_n, max(1, round(piece_s * sr_hz))), length_n]


def _faded(sound: Float32Array, seams: Sequence[int], sr_hz: int) -> Float32Array:
    """Dip to zero and back around every seam, linearly over 5 ms on either side."""
    reach = round(FADE_S * sr_hz)
    gain = np.ones(len(sound), np.float32)
    if reach:
        for seam in seams:
            if 0 < seam < len(sound):
                first, last = max(0, seam - reach), min(len(sound), seam + reach)
                dip = (np.abs(np.arange(first, last) - seam + 0.5) / reach).astype(np.float32)
                gain[first:last] = np.minimum(gain[first:last], dip)
    return np.asarray(sound * (gain if sound.ndim == 1 else gain[:, None]), np.float32)
