"""The shape of every clip of the mini world."""

from __future__ import annotations

import numpy as np

WORLD_VERSION = 2
"""Raised whenever any clip changes; part of every random stream and of the rendered folder's name."""

FRAME_RATE_HZ = 25
SR_HZ = 16_000
SIZE_PX = 64
DURATION_S = 4.0
N_FRAMES = 100
N_SAMPLES = 64_000

FRAME_TIMES_S = np.arange(N_FRAMES) / FRAME_RATE_HZ
"""Moment that each frame shows, (100,)."""

CONTACT_S = 1 / FRAME_RATE_HZ
"""How long a contact lasts in the picture: one frame, so the first frame at or after an event always shows it."""
