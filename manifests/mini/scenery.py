"""What surrounds the sources: backgrounds, silent distractors, things in the way, a shaking camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t2av_bench.manifests.mini.canvas import FULL_PX, Canvas, Colour, shade
from t2av_bench.manifests.mini.constants import FRAME_TIMES_S, N_FRAMES
from t2av_bench.manifests.mini.exact import sin_turns
from t2av_bench.manifests.mini.source import COLOURS
from t2av_bench.manifests.mini.stream import Stream

_WALLS: tuple[Colour, ...] = (
    (92, 108, 126),
    (118, 112, 98),
    (86, 112, 92),
    (116, 94, 108),
    (70, 78, 98),
    (134, 130, 124),
)


def background(rng: Stream, floor_px: float) -> NDArray[np.uint8]:
    """Draw a muted wall above a darker ground, (76, 76, 3): plain, striped, chequered or shaded."""
    wall = np.asarray(rng.choice(_WALLS), dtype=np.int64)
    ground = wall * (55 + rng.integer(20)) // 100
    y, x = np.mgrid[0:FULL_PX, 0:FULL_PX]
    step = 5 + rng.integer(6)
    pattern = {
        "plain": np.zeros_like(x),
        "striped": (x // step) % 2 * 9,
        "chequered": ((x // step) + (y // step)) % 2 * 7,
        "shaded": (FULL_PX - y) // 3,
    }[rng.choice(("plain", "striped", "chequered", "shaded"))]
    image = wall + pattern[..., None]
    image[y > floor_px + 6] = ground
    grain = (rng.white(FULL_PX * FULL_PX) >> 14).reshape(FULL_PX, FULL_PX)  # about ±2 grey levels
    return np.asarray(np.clip(image + grain[..., None], 0, 255), dtype=np.uint8)


def draw_distractor(rng: Stream, canvas: Canvas) -> None:
    """Paint something that moves or blinks without a sound."""
    kind = rng.choice(("bird", "balloon", "lamp", "leaf", "hoverer"))
    colour = COLOURS[rng.choice(tuple(COLOURS))]
    start, speed = rng.uniform(0, 64), rng.uniform(6, 20) * rng.choice((-1.0, 1.0))
    rate_hz, phase = rng.uniform(0.4, 1.2), rng.uniform()
    height = rng.uniform(4, 14)
    cycle = sin_turns(FRAME_TIMES_S * rate_hz + phase)
    along = start + speed * FRAME_TIMES_S
    across = along - np.floor(along / 84.0) * 84.0 - 10.0  # wraps round outside the picture
    if kind == "bird":
        flap = 3.0 * sin_turns(FRAME_TIMES_S * 3.0 + phase)
        for side in (-1, 1):
            canvas.bar(across, height, across + side * 5, height - flap, 0.9, (36, 34, 44), ink=False)
    elif kind == "balloon":
        y = height + 6 + 3.0 * cycle
        canvas.bar(across, y, across, y + 10, 0.5, (220, 220, 220), ink=False)
        canvas.disc(across, y, 3.6, colour)
    elif kind == "lamp":
        canvas.disc(start, height, 3, shade(colour, 40))
        canvas.disc(start, height, 2, shade(colour, 140), ink=False, alpha=np.where(cycle > 0, 1.0, 0.0))
    elif kind == "leaf":
        y = 10.0 + FRAME_TIMES_S * rng.uniform(6, 12)
        canvas.bar(across - 2, y + cycle, across + 2, y - cycle, 1.3, (196, 130, 50), ink=False)
    else:
        # Rises and falls like a ball, but touches nothing.
        canvas.disc(start, height + 8 + 7.0 * cycle, 3.4, colour)


def draw_occluder(rng: Stream, canvas: Canvas) -> None:
    """Paint a post that drifts past in front of the scene and hides each part of it for a while."""
    colour = shade(rng.choice(_WALLS), 50)
    half_w, speed = rng.uniform(3.0, 5.5), rng.uniform(10, 24) * rng.choice((-1.0, 1.0))
    canvas.box(32 + speed * (FRAME_TIMES_S - rng.uniform(0.5, 3.5)), 32, half_w, 40, colour)


def shake(rng: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a hand-held camera's wander in whole pixels, two of (100,), at most 3 each way."""
    wander = []
    for _ in range(2):
        size, rate_hz = rng.uniform(0.8, 1.6), rng.uniform(0.5, 1.5)
        slow = sin_turns(FRAME_TIMES_S * rate_hz + rng.uniform())
        fast = sin_turns(FRAME_TIMES_S * rate_hz * 2.7 + rng.uniform())
        wander.append(np.rint(size * slow + 0.8 * size * fast).astype(np.int64))
    return wander[0], wander[1]


def no_shake() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the wander of a camera on a tripod."""
    still = np.zeros(N_FRAMES, dtype=np.int64)
    return still, still
