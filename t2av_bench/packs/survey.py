"""What storing embeddings in half precision would do to them, and whether it may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
# Rows of fewer numbers are envelopes: events are picked from them by thresholds, where rounding can decide, and there
# is little to save.
NARROW = 16
# Largest root mean square error of storage, as a share of the features' spread about their mean. By Gelbrich's bound
# no Fréchet distance of the features can then move by more than this share of the spread, before squaring.
MAX_ROUNDING = 1e-3
_LARGEST_FLOAT16 = 65504.0


class Survey(NamedTuple):
    """All rows of one extractor, as far as storage is concerned.

    Attributes
    ----------
    largest
        Largest magnitude.
    rounding
        Root mean square distance of the rows from themselves in float16, divided by that from their mean; infinite
        where a number lies beyond float16's range, 0 where nothing is lost.
    """

    largest: float
    rounding: float


def survey(rows: Iterable[Float32Array]) -> Survey:
    """Look at all rows of an extractor, clip by clip, each of shape (rows, dim)."""
    count, largest, error, squares = 0, 0.0, 0.0, 0.0
    total: npt.NDArray[np.float64] | float = 0.0
    for clip in rows:
        exact = clip.astype(np.float64)
        largest = max(largest, float(np.abs(exact).max(initial=0.0)))
        with np.errstate(over="ignore"):
            error += float(((clip.astype(np.float16).astype(np.float64) - exact) ** 2).sum())
        squares += float((exact**2).sum())
        total = total + exact.sum(axis=0)
        count += len(clip)
    spread = max(squares - float(np.square(total).sum()) / max(count, 1), 0.0)
    if error == 0.0:
        return Survey(largest, 0.0)
    return Survey(largest, float(np.sqrt(error / spread)) if spread > 0.0 else float("inf"))


def choose_dtype(asked: str, dim: int, found: Survey) -> tuple[str, str]:
    """Return the number format that rows are stored in, and why it is not the one asked for; empty if it is."""
    if asked == "float32":
        return "float32", ""
    if dim < NARROW:
        return "float32", f"rows of fewer than {NARROW} numbers are envelopes, from which events are picked"
    if found.largest > _LARGEST_FLOAT16:
        return "float32", f"numbers up to {found.largest:.3g} are beyond float16's {_LARGEST_FLOAT16:.0f}"
    if found.rounding > MAX_ROUNDING:
        return (
            "float32",
            f"float16 would round them by {found.rounding:.1e} of their spread, more than {MAX_ROUNDING:g}",
        )
    return "float16", ""
