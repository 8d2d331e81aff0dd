"""A small painter: anti-aliased shapes on all frames of a clip at once, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from t2av_bench.manifests.mini.constants import N_FRAMES, SIZE_PX
from t2av_bench.manifests.mini.exact import Float64s

Colour = tuple[int, int, int]
Distance = Callable[[Float64s, Float64s], Float64s]

MARGIN_PX = 6
"""Painted around the visible part, so that the camera can shake."""

FULL_PX = SIZE_PX + 2 * MARGIN_PX
INK: Colour = (24, 22, 28)


def shade(colour: Colour, percent: int) -> Colour:
    """Return a darker (below 100) or lighter colour."""
    red, green, blue = (min(255, channel * percent // 100) for channel in colour)
    return red, green, blue


class Canvas:
    """The frames of one clip while they are painted; later shapes cover earlier ones.

    Coordinates are pixels of the visible part, x to the right and y down; pixel (0, 0) has its centre at (0, 0). Each
    argument may be one number or one per frame, (100,).

    Parameters
    ----------
    background : (76, 76, 3) uint8
    """

    def __init__(self, background: NDArray[np.uint8]) -> None:
        self._pixels = np.repeat(background[None], N_FRAMES, axis=0)

    def disc(
        self, x: ArrayLike, y: ArrayLike, radius: ArrayLike, colour: Colour, *, ink: bool = True, alpha: ArrayLike = 1.0
    ) -> None:
        """Paint a disc, with a dark rim if ``ink``."""
        xs, ys, rs = _column(x), _column(y), _column(radius)

        def distance(px: Float64s, py: Float64s) -> Float64s:
            dx, dy = px - xs, py - ys
            return np.asarray(np.sqrt(dx * dx + dy * dy) - rs)

        self._shape((xs - rs, ys - rs, xs + rs, ys + rs), distance, colour, ink, alpha)

    def ring(
        self,
        x: ArrayLike,
        y: ArrayLike,
        radius: ArrayLike,
        colour: Colour,
        *,
        half_width: float = 0.6,
        flat: float = 1.0,
        alpha: ArrayLike = 1.0,
    ) -> None:
        """Paint a circle line; ``flat`` > 1 presses it to an ellipse."""
        xs, ys, rs = _column(x), _column(y), _column(radius)

        def distance(px: Float64s, py: Float64s) -> Float64s:
            dx, dy = px - xs, (py - ys) * flat
            return np.asarray(np.abs(np.sqrt(dx * dx + dy * dy) - rs) - half_width)

        reach = rs + half_width
        self._shape((xs - reach, ys - reach, xs + reach, ys + reach), distance, colour, False, alpha)

    def box(
        self,
        x: ArrayLike,
        y: ArrayLike,
        half_w: ArrayLike,
        half_h: ArrayLike,
        colour: Colour,
        *,
        ink: bool = True,
        alpha: ArrayLike = 1.0,
    ) -> None:
        """Paint an upright rectangle around its centre, with a dark rim if ``ink``."""
        xs, ys, ws, hs = _column(x), _column(y), _column(half_w), _column(half_h)

        def distance(px: Float64s, py: Float64s) -> Float64s:
            return np.maximum(np.abs(px - xs) - ws, np.abs(py - ys) - hs)

        self._shape((xs - ws, ys - hs, xs + ws, ys + hs), distance, colour, ink, alpha)

    def bar(
        self,
        x0: ArrayLike,
        y0: ArrayLike,
        x1: ArrayLike,
        y1: ArrayLike,
        half_width: float,
        colour: Colour,
        *,
        ink: bool = True,
        alpha: ArrayLike = 1.0,
    ) -> None:
        """Paint a thick line with round ends, with a dark rim if ``ink``."""
        ax, ay, bx, by = _column(x0), _column(y0), _column(x1), _column(y1)
        lx, ly = bx - ax, by - ay
        square = np.maximum(lx * lx + ly * ly, 1e-9)

        def distance(px: Float64s, py: Float64s) -> Float64s:
            dx, dy = px - ax, py - ay
            along = np.clip((dx * lx + dy * ly) / square, 0.0, 1.0)
            dx, dy = dx - lx * along, dy - ly * along
            return np.asarray(np.sqrt(dx * dx + dy * dy) - half_width)

        bounds = (
            np.minimum(ax, bx) - half_width,
            np.minimum(ay, by) - half_width,
            np.maximum(ax, bx) + half_width,
            np.maximum(ay, by) + half_width,
        )
        self._shape(bounds, distance, colour, ink, alpha)

    def crop(self, shake_x: NDArray[np.int64], shake_y: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the visible part, (100, 64, 64, 3), seen by a camera that is off by whole pixels, (100,) each."""
        frames = np.empty((N_FRAMES, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        for i, (x, y) in enumerate(zip(shake_x + MARGIN_PX, shake_y + MARGIN_PX, strict=True)):
            frames[i] = self._pixels[i, y : y + SIZE_PX, x : x + SIZE_PX]
        return frames

    def _shape(
        self, bounds: tuple[Float64s, ...], distance: Distance, colour: Colour, ink: bool, alpha: ArrayLike
    ) -> None:
        """Paint where ``distance`` is negative; only the part inside the bounds is computed."""
        left, top, right, bottom = (np.floor(edge[:, 0, 0]).astype(np.int64) for edge in bounds)
        width = min(int((right - left).max()) + 3, FULL_PX)
        height = min(int((bottom - top).max()) + 3, FULL_PX)
        left = np.clip(left - 1 + MARGIN_PX, 0, FULL_PX - width)
        top = np.clip(top - 1 + MARGIN_PX, 0, FULL_PX - height)
        columns = _column(left - MARGIN_PX) + np.arange(width)[None, None, :]
        rows = _column(top - MARGIN_PX) + np.arange(height)[None, :, None]
        away, opacity = distance(columns, rows), _column(alpha) * 256.0
        # Every patch of this size, by frame and place: picks one moving patch per frame without a copy of the rest.
        patches = sliding_window_view(self._pixels, (height, width), axis=(1, 2), writeable=True)
        where = (np.arange(N_FRAMES), np.broadcast_to(top, N_FRAMES), np.broadcast_to(left, N_FRAMES))
        patch = patches[where]
        if ink:
            patch = _blend(patch, INK, away, opacity)
            away = away + 1.0
        patches[where] = _blend(patch, colour, away, opacity)


def _column(value: ArrayLike) -> Float64s:
    """Bring one number, or one per frame, to (1, 1, 1) or (100, 1, 1)."""
    return np.asarray(value, dtype=np.float64).reshape(-1, 1, 1)


def _blend(patch: NDArray[np.uint8], colour: Colour, away: Float64s, opacity: Float64s) -> NDArray[np.uint8]:
    """Mix a colour into pixels by the share of each pixel that the shape covers."""
    # 16 bits are just enough: 255 * 256 + 128 < 65536.
    share = (np.clip(0.5 - away, 0.0, 1.0) * opacity).astype(np.uint16)[:, None]
    mixed = patch * (256 - share) + np.asarray(colour, dtype=np.uint16)[:, None, None] * share + 128
    return (mixed >> 8).astype(np.uint8)
