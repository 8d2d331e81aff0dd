"""Progress: a bar on the terminal, a line a minute where the output is a file or a pipe, as in a cluster's log."""

from __future__ import annotations

import sys
import time
from typing import Any

# Between two lines in a log. What is done sooner leaves none.
_LINE_EVERY_S = 60.0


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


class _Lines(_NoBar):
    """A line a minute: how much is done, and how long the rest will take at the rate so far."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self._total, self._what, self._unit = total, what, unit
        self._done, self._shown = 0, ""
        self._resumed_at: int | None = None
        self._start_s = self._printed_s = time.monotonic()

    def update(self, count: int = 1) -> None:
        """Count; a resumed count starts with what was done before, which says nothing about the rate."""
        self._done += count
        now_s = time.monotonic()
        if self._resumed_at is None:
            self._resumed_at, self._start_s = (self._done, now_s) if count > 1 else (0, self._start_s)
        if now_s - self._printed_s < _LINE_EVERY_S or self._done >= self._total:
            return
        self._printed_s = now_s
        done_here = max(self._done - self._resumed_at, 1)
        left_s = (now_s - self._start_s) / done_here * (self._total - self._done)
        counted = f"{self._done} of {self._total} {self._unit}s"
        left = f"about {max(round(left_s / 60), 1)} min left"
        print(f"{self._what}: {counted}{self._shown}, {left}", file=sys.stderr, flush=True)

    def set_description(self, what: str) -> None:
        self._what = what

    def set_postfix(self, refresh: bool = True, **shown: Any) -> None:
        self._shown = "".join(f", {name} {value}" for name, value in shown.items())


def progress_bar(total: int, what: str, unit: str, wanted: bool = True) -> Any:
    """Return a tqdm bar on stderr with rate and remaining time; off a terminal, one that writes a line a minute."""
    if not (wanted and total):
        return _NoBar()
    if not sys.stderr.isatty():
        return _Lines(total, what, unit)
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
