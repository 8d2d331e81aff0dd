"""Ending on SIGTERM as on Ctrl-C, so that a cluster's preemption costs nothing that is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""143, what shells and schedulers take for "ended by SIGTERM"."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Raise :class:`Stopped` in the block when SIGTERM comes; later ones do not disturb the clearing up.

    Nothing is changed outside of the main thread, or where the program has its own handler.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
