"""Messages between processes through a key-value store, and the sign of life that each of them gives.

The store is torch's (``torch.distributed.TCPStore``); whatever can be pickled goes through it, in parts that it takes.
Only calls that return at once are made.
"""

from __future__ import annotations

import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from t2av_bench.errors import T2AVBenchError

# The store refuses values above 8 MiB.
_PART_BYTES = 4 << 20
_PULSE_S = 1.0
# A process that has given no sign of life for so long is lost. Libraries that keep all threads of a process waiting
# take seconds; on one machine torchrun notices at once, so this is about machines that die.
_LOST_S = 300.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1


class Store:
    """What processes tell one another, by key.

    Every method raises a ``T2AVBenchError`` once the store is gone: it ends with the program that holds it.

    Parameters
    ----------
    store
        A ``torch.distributed.Store``.
    prefix
        Of all keys, so that programs do not read one another's.
    """

    def __init__(self, store: Any, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def put(self, key: str, value: object) -> None:
        """Write anything that can be pickled."""
        content = pickle.dumps(value, protocol=5)
        starts = range(0, len(content), _PART_BYTES)
        for number, start in enumerate(starts):
            self._ask("set", f"{key}/{number}", content[start : start + _PART_BYTES])
        # Last, as it says that all is there.
        self._ask("set", key, str(len(starts)))

    def put_first(self, key: str, value: int) -> None:
        """Write a number, unless something is written there."""
        self._ask("compare_set", key, "", str(value))

    def number(self, key: str) -> int:
        """Return what :meth:`put_first` has written."""
        return int(self._ask("get", key))

    def has(self, key: str) -> bool:
        """Whether something was written."""
        try:
            return bool(self._store.check([self._prefix + key]))
        except RuntimeError as error:
            raise _lost(error) from error

    def read(self, key: str) -> Any:
        """Return what was written and leave it there."""
        return pickle.loads(b"".join(self._ask("get", f"{key}/{number}") for number in range(self.number(key))))

    def take(self, key: str) -> Any:
        """Return what was written and remove it."""
        value = self.read(key)
        self.remove(key)
        return value

    def remove(self, key: str) -> None:
        """Remove what was written, if anything was."""
        if self.has(key):
            for number in range(self.number(key)):
                self._ask("delete_key", f"{key}/{number}")
            self._ask("delete_key", key)

    def add(self, key: str, count: int) -> int:
        """Add to a counter, which starts at 0, and return what it is then."""
        return int(self._ask("add", key, count))

    def _ask(self, method: str, key: str, *values: object) -> Any:
        try:
            return getattr(self._store, method)(self._prefix + key, *values)
        except RuntimeError as error:
            raise _lost(error) from error


def _lost(error: RuntimeError) -> T2AVBenchError:
    reason = str(error).partition("\n")[0]
    return T2AVBenchError(
        f"the connection to the first process is lost ({reason}); what is done so far is kept, and the same command"
        " goes on from there"
    )


class Pulse(threading.Thread):
    """Shows the others that this process lives, and interrupts its work when something makes it useless.

    Parameters
    ----------
    store, rank
        Where it is shown, and of which process.
    """

    def __init__(self, store: Store, rank: int) -> None:
        super().__init__(name="t2av-bench pulse", daemon=True)
        self._store, self._rank = store, rank
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watched = ""
        self.start()

    def run(self) -> None:
        """Beat until closed, or until the store is gone."""
        alive = True
        while alive and not self._over.wait(_PULSE_S):
            try:
                self._store.add(f"pulse/{self._rank}", 1)
            except T2AVBenchError:
                alive = False
            with self._lock:
                if self._watched and (not alive or self._store.has(self._watched)):
                    self._watched = ""
                    _interrupt_main()

    @contextmanager
    def watching(self, key: str) -> Iterator[None]:
        """Raise KeyboardInterrupt in the block as soon as a key is written, or the store is gone.

        Only in the main thread: others cannot be interrupted, and go on. Where Ctrl-C is ignored, as in the background
        of a script, it still is.
        """
        is_main = threading.current_thread() is threading.main_thread()
        is_deaf = is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        # Both at once: what is heard depends on what is watched.
        with self._lock:
            self._watched = key if is_main else ""
            if is_deaf:
                signal.signal(signal.SIGINT, self._hear)
        try:
            yield
        finally:
            with self._lock:
                if is_deaf:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                self._watched = ""

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._watched:  # the key was written; until then, this is somebody's Ctrl-C
            raise KeyboardInterrupt

    def close(self) -> None:
        """Stop beating."""
        self._over.set()
        self.join()


def _interrupt_main() -> None:
    """Do what Ctrl-C does, also to a thread that waits in the system."""
    main = threading.main_thread()
    if callable(signal.getsignal(signal.SIGINT)) and main.ident is not None:
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(main.ident, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)


def wait_for(store: Store, keys: tuple[str, ...], rank: int, n: int) -> str:
    """Return the first of some keys as soon as one is written.

    Parameters
    ----------
    store, keys
        Where, and which.
    rank, n
        The process that is to write one, and how many there are.

    Raises
    ------
    T2AVBenchError
        If that process gives no sign of life.
    """
    seen, seen_s = -1, time.monotonic()
    pause_s = _SHORTEST_PAUSE_S
    while True:
        for key in keys:
            if store.has(key):
                return key
        if pause_s == _LONGEST_PAUSE_S:
            beats = store.add(f"pulse/{rank}", 0)
            if beats != seen:
                seen, seen_s = beats, time.monotonic()
            elif time.monotonic() > seen_s + _LOST_S:
                raise T2AVBenchError(
                    f"process {rank} of {n} (counted from 0) has given no sign of life for {_LOST_S:g} s; what is done"
                    " so far is kept, and the same command goes on from there"
                )
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
