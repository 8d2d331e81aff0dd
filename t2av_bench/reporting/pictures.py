"""A sound as a small picture: waveform above, mel spectrogram below.

All sounds of a clip share one scale: the waveform's is the largest sample of any of them, the spectrogram's brightness
ends 80 dB below the loudest band of any. So a sound that is too quiet looks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from t2av_bench.files import replacing
from t2av_bench.models.extractors.mel import panns_matrix

WIDTH_PX = 480
WAVE_PX = 40
BANDS_N = 64
HEIGHT_PX = WAVE_PX + BANDS_N
RANGE_DB = 80.0
_FFT_N = 512
_FLOOR_POWER = 1e-14
# Few enough for a small file, and more than the eye tells apart.
_LEVELS_N = 32

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


def palette() -> bytes:
    """Return the colours of pictures, 3 bytes each: matplotlib's magma, which reads the same without colour."""
    from matplotlib import colormaps

    shades = np.asarray(colormaps["magma"](np.linspace(0.0, 1.0, _LEVELS_N)))[:, :3]
    return bytes(np.round(shades * 255).astype(np.uint8).tobytes())


def draw_sounds(sounds: Sequence[Float32Array], paths: Sequence[Path], colours: bytes) -> None:
    """Write a PNG for each sound of a clip.

    Parameters
    ----------
    sounds
        Mono at 16 kHz and equally long, shape (samples,) each.
    paths
        Files to write.
    colours
        As :func:`palette` returns them.
    """
    powers = [_band_powers(sound) for sound in sounds]
    loudest = max(float(power.max(initial=0.0)) for power in powers)
    largest = max(float(np.abs(sound).max(initial=0.0)) for sound in sounds)
    for sound, power, path in zip(sounds, powers, paths, strict=True):
        levels = np.concatenate([_wave(sound, largest), _brightness(power, loudest)])
        _write_png(levels, path, colours)


def _band_powers(sound: Float32Array) -> Float64Array:
    """Powers of mel bands from 50 to 8000 Hz around as many equally spaced times as the picture is wide."""
    from scipy.fft import rfft

    padded = np.pad(sound, _FFT_N // 2)
    # The middle of each column.
    starts = ((np.arange(WIDTH_PX) + 0.5) * len(sound) / WIDTH_PX).astype(np.intp)
    frames = sliding_window_view(padded, _FFT_N)[starts]
    spectrum: Any = rfft(frames * np.hanning(_FFT_N).astype(np.float32), axis=1)
    return np.asarray((spectrum.real**2 + spectrum.imag**2) @ panns_matrix(), np.float64)


def _brightness(power: Float64Array, loudest: float) -> npt.NDArray[np.uint8]:
    """Return levels, low frequencies at the bottom; all 0 where every sound of the clip is silent."""
    if loudest <= _FLOOR_POWER:
        return np.zeros((BANDS_N, WIDTH_PX), np.uint8)
    level_db = 10.0 * np.log10(np.maximum(power, _FLOOR_POWER) / loudest)
    shares = np.clip(1.0 + level_db / RANGE_DB, 0.0, 1.0)
    return np.round(shares * (_LEVELS_N - 1)).astype(np.uint8).T[::-1]


def _wave(sound: Float32Array, largest: float) -> npt.NDArray[np.uint8]:
    """Return levels that show the range of the samples of each column."""
    edges = np.linspace(0, len(sound), WIDTH_PX + 1).astype(np.intp)
    middle = (WAVE_PX - 1) / 2
    scale = 0.95 * middle / largest if largest > 0.0 else 0.0
    starts = np.minimum(edges[:-1], max(0, len(sound) - 1))
    high = middle - np.maximum.reduceat(sound, starts) * scale
    low = middle - np.minimum.reduceat(sound, starts) * scale
    rows = np.arange(WAVE_PX)[:, None]
    inside = (rows >= np.floor(high)) & (rows <= np.ceil(low))
    return np.where(inside, _LEVELS_N * 3 // 4, 0).astype(np.uint8)


def _write_png(levels: npt.NDArray[np.uint8], path: Path, colours: bytes) -> None:
    from PIL import Image

    image = Image.fromarray(levels, mode="L")
    image.putpalette(colours)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def write_poster(picture: npt.NDArray[np.uint8], path: Path) -> None:
    """Write a picture, shape (height, width, 3), as a small JPEG."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((480, 360))
    with replacing(path) as temporary:
        image.save(temporary, format="JPEG", quality=80)
