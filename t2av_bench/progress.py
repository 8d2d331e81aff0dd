"""Progress bars on the terminal, and none when the output is not one."""

from __future__ import annotations

import sys
import time
from typing import Any


class _NoBar:
    """Stands in for a bar that nobody sees: tqdm's own would leave a semaphore behind in a worker that is stopped."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int = 1) -> None:
        pass

    def set_description(self, what: str) -> None:
        pass

    def set_postfix(self, refresh: bool = True, **shown: Any) -> None:
        pass


def progress_bar(total: int, what: str, unit: str, wanted: bool = True) -> Any:
    """Return a tqdm bar on stderr with rate and remaining time; silent off a terminal or with nothing to do."""
    if not (wanted and total and sys.stderr.isatty()):
        return _NoBar()
    from tqdm import tqdm

    return _steady(tqdm(total=total, desc=what, unit=unit, leave=False))


def byte_bar(total: int | None, start: int, what: str, wanted: bool = True) -> Any:
    """Return a tqdm bar on stderr that counts bytes from ``start`` on; silent off a terminal."""
    from tqdm import tqdm

    shown = wanted and sys.stderr.isatty()
    bar = tqdm(
        total=total,
        initial=start,
        desc=what,
        unit="B",
        unit_scale=True,
        unit_divisor=1000,
        disable=not shown,
        leave=False,
    )
    return _steady(bar)


def _steady(bar: Any) -> Any:
    """Let a bar count by a clock that nobody sets: it would stand still while the other one goes back."""
    if not bar.disable:
        bar._time = time.monotonic
        bar.start_t = bar.last_print_t = bar._time()
    return bar
