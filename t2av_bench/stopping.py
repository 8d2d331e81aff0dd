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
    """Raise :class:`Stopped` in the block when SIGTERM comes; later ones disturb neither the clearing up nor the exit.

    Nothing is changed outside of the main thread, or where the program has its own handler.
    """
    if not _is_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    after = signal.SIG_DFL
    try:
        yield
    except Stopped:
        # The process is about to end, with its own exit code; schedulers send the signal more than once.
        after = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, after)


class StopRequest:
    """Whether SIGTERM or Ctrl-C came; raises nothing until the work can be put down.

    Attributes
    ----------
    ended
        Whether it has been raised.
    """

    def __init__(self) -> None:
        self._number = 0
        self._waits = True
        self.ended = False

    @property
    def came(self) -> bool:
        """Whether the process was asked to end."""
        return self._number != 0

    def end(self, done: str = "") -> None:
        """Raise what the signal would have raised at once.

        Parameters
        ----------
        done
            What is kept, for whoever asked.

        Raises
        ------
        Stopped
            After SIGTERM, and where no signal came to this process but to another that works with it.
        KeyboardInterrupt
            After Ctrl-C.
        """
        self.ended = True
        raise KeyboardInterrupt(done) if self._number == signal.SIGINT else Stopped(done)

    @contextmanager
    def at_once(self, done: str = "") -> Iterator[None]:
        """Let signals raise where they come for a while: in work that may be left half done."""
        self._waits = False
        try:
            if self.came:
                self.end(done)
            yield
        except KeyboardInterrupt as stop:
            if not str(stop):
                stop.args = (done,)
            raise
        finally:
            self._waits = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and self.ended:
            return  # schedulers send it more than once; the clearing up is not disturbed
        insists = number == self._number == signal.SIGINT
        self._number = number
        if insists or not self._waits:
            self.end()


@contextmanager
def stops_wait() -> Iterator[StopRequest]:
    """Let SIGTERM and Ctrl-C wait in the block until the work can be put down; a second Ctrl-C does not wait.

    One that is still waiting at the end of the block is raised there. A signal for which the program has its own
    handler is left alone, as are all outside of the main thread.
    """
    request = StopRequest()
    ours = {signal.SIGTERM: (signal.SIG_DFL, _stop), signal.SIGINT: (signal.default_int_handler,)}
    before = {number: signal.getsignal(number) for number in ours}
    taken = [number for number in ours if _is_main_thread() and before[number] in ours[number]]
    for number in taken:
        signal.signal(number, request._note)
    try:
        yield request
        if request.came:
            request.end()
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_IGN if request.ended and before[number] is _stop else before[number])


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
