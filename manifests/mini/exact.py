"""Arithmetic that gives the same bits on every machine.

IEEE 754 fixes the result of +, -, *, / and the square root to the last bit, but not of sine or exponential, whose
implementation differs between C libraries and between NumPy's SIMD paths. Sums over an axis and products of matrices
depend on the order of additions and on fused multiply-adds. So everything here is built from single elementwise
operations on float64, which NumPy rounds one by one, and from exact integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64s = NDArray[np.float64]

TAU = 6.283185307179586
_LN2 = 0.6931471805599453


def sin_turns(turns: ArrayLike) -> Float64s:
    """Sine of an angle in turns: sin(2π·turns), absolute error below 1e-7."""
    x = np.asarray(turns, dtype=np.float64)
    x = x - np.rint(x)  # to [-1/2, 1/2]
    x = np.where(np.abs(x) > 0.25, np.copysign(0.5, x) - x, x)  # to [-1/4, 1/4], where the series is short
    y = x * TAU
    y2 = y * y
    series = np.full_like(y, -1 / 39916800)
    for divisor in (362880, -5040, 120, -6, 1):
        series = series * y2 + 1 / divisor
    return np.asarray(series * y)


def cos_turns(turns: ArrayLike) -> Float64s:
    """Cosine of an angle in turns: cos(2π·turns), absolute error below 1e-7."""
    return sin_turns(np.asarray(turns, dtype=np.float64) + 0.25)


def halve(times: ArrayLike) -> Float64s:
    """Return 2 to the power ``-times`` for non-negative ``times``, relative error below 3e-6."""
    x = np.asarray(times, dtype=np.float64)
    whole = np.floor(x)
    y = (x - whole) * -_LN2
    series = np.full_like(y, 1 / 5040)
    for divisor in (720, 120, 24, 6, 2, 1, 1):
        series = series * y + 1 / divisor
    return np.asarray(np.ldexp(series, -whole.astype(np.int32)))


def smoothstep(x: ArrayLike) -> Float64s:
    """Rise from 0 at ``x`` ≤ 0 to 1 at ``x`` ≥ 1, level at both ends."""
    clipped = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped))
