"""Several processes that share one run: ``torchrun`` starts them, on one machine or on many.

The first process leads. It runs the whole flow as it would alone, and hands every process a share of what is costly
(:meth:`Processes.each`). The others bring their own cache, device and loaders and do what they are handed
(:meth:`Processes.serve`) until the first one is through. All then return the same value or raise the same error
(:func:`same_outcome`). As only the first process decides and scores, the scores are those of a single process.

Messages go through the key-value store by which torchrun's processes find one another (``MASTER_ADDR``,
``MASTER_PORT``), which is as trusted as torch's own exchange of objects. No process group is made or used: nothing
depends on gloo or NCCL, and the group of a training job is left alone. Waiting means asking the store again and again,
so that Ctrl-C, SIGTERM and the failure of another process are heeded at once; a collective operation would not return.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import Any

from t2av_bench.distributed.messages import Pulse, Store, wait_for
from t2av_bench.distributed.team import ALONE, Answer, Processes, Share, Station, same_outcome
from t2av_bench.errors import T2AVBenchError, UsageError

__all__ = ["ALONE", "Processes", "has_joined", "is_first", "launched", "processes", "same_outcome"]

# How long the processes may take to find one another: those of one machine may have to wait for a queue.
_JOIN_S = 600.0
# How long the others may take to read the outcome; less where one may have been the reason of a failure.
_READ_S, _READ_FAILURE_S = 60.0, 5.0


def launched() -> bool:
    """Whether torchrun, or something that sets the same variables, has started this process and others beside it."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def is_first() -> bool:
    """Whether this process will lead: known before it has joined the others."""
    return not launched() or os.environ["RANK"] == "0"


@contextmanager
def processes() -> Iterator[Processes]:
    """Join the processes that torchrun has started; without it, yield :data:`ALONE`.

    Examples
    --------
    In a training script that torchrun has started, where every process does the same:

    >>> import t2av_bench as tb
    >>> with processes() as team:  # doctest: +SKIP
    ...     result = tb.evaluate("samples/", processes=team)

    Raises
    ------
    UsageError
        If the variables that torchrun sets make no sense.
    T2AVBenchError
        If the other processes do not turn up.
    """
    if not launched():
        yield ALONE
        return
    store, rank, n = _joined()
    local_rank, local_n = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    with closing(Pulse(store, rank)) as pulse:
        yield _Launched(store, pulse, rank, n, local_rank, local_n or 1)


_joined_n = 0


def has_joined() -> bool:
    """Whether this process has found the others: from then on they know of its errors."""
    return _joined_n > 0


def _joined() -> tuple[Store, int, int]:
    global _joined_n
    import torch

    if not torch.distributed.is_available():
        raise T2AVBenchError("this build of torch has no torch.distributed, which several processes need")
    try:
        found, rank, n = _met()
    except ValueError as error:
        raise UsageError(
            f"RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT must be as torchrun sets them ({error})"
        ) from (error)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise T2AVBenchError(
            f"the {os.environ['WORLD_SIZE']} processes that WORLD_SIZE announces did not find one another at"
            f" {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} within {_JOIN_S:g} s ({reason}); to run"
            " a single process, unset WORLD_SIZE"
        ) from error
    # A program may join more than once; all its processes do so equally often.
    _joined_n += 1
    return Store(found, f"t2av-bench/{_joined_n}/"), rank, n


def _met() -> tuple[Any, int, int]:
    """Find the others; in a thread, since the library does not heed Ctrl-C while it waits for them."""
    from torch.distributed.rendezvous import rendezvous

    met: Future[tuple[Any, int, int]] = Future()

    def meet() -> None:
        try:
            met.set_result(next(iter(rendezvous("env://", timeout=timedelta(seconds=_JOIN_S)))))
        except Exception as error:
            met.set_exception(error)

    threading.Thread(target=meet, name="t2av-bench rendezvous", daemon=True).start()
    while not met.done():
        time.sleep(0.02)
    return met.result()


class _ElsewhereError(Exception):
    """The traceback of another process, as text, to be shown as the cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _ToldError(Exception):
    """The first process raised ``error``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _carried(error: BaseException) -> tuple[BaseException, str]:
    """Return an error that can be pickled, and its traceback."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}"), text
    return error, text


class _Launched(Processes):
    """One of several processes.

    Keys of the store start with the number of the run (a call of a function that :func:`same_outcome` made). The first
    process writes ``call/<number>/<rank>`` and, at the end, ``outcome``; the others write ``answer/<number>/<rank>``,
    or ``error/<rank>`` with the rank under ``failed``.
    """

    def __init__(self, store: Store, pulse: Pulse, rank: int, n: int, local_rank: int, local_n: int) -> None:
        self.rank, self.n, self.local_n = rank, n, local_n
        self._local_rank = local_rank
        self._store, self._pulse = store, pulse
        self._runs_n = self._calls_n = 0
        self._inside = False

    def device(self, name: str) -> str:
        if name == "cpu" or self.local_n == 1 and self._local_rank == 0:
            return name
        import torch

        if name.startswith("cuda:"):
            raise UsageError(f"the device {name} would be that of all {self.local_n} processes here; say cuda instead")
        count = torch.cuda.device_count()
        return f"cuda:{self._local_rank % count}" if count and name in ("auto", "cuda") else name

    def together(self, run: Callable[[], Answer]) -> Answer:
        if self._inside:  # called by what already runs in the first process
            return run()
        self._inside, self._runs_n, self._calls_n = True, self._runs_n + 1, 0
        try:
            return self._lead(run) if self.leads else self._follow(run)
        finally:
            self._inside = False

    def _lead(self, run: Callable[[], Answer]) -> Answer:
        try:
            value = run()
        except BaseException as error:
            with suppress(T2AVBenchError):  # of a store that is gone: why the run failed is more important
                self._announce(error)
                self._publish(False, _carried(error), _READ_FAILURE_S)
            raise
        self._publish(True, value, _READ_S)
        return value

    def _follow(self, run: Callable[[], Answer]) -> Answer:
        try:
            return run()
        except _ToldError as told:
            raise told.error from told.__cause__
        except BaseException as error:
            self._announce(error)
            if not isinstance(error, Exception):  # Ctrl-C
                self._store.add(self._key("read"), 1)
                raise
        self._wait("outcome", of=0)
        try:
            self._outcome()
        except _ToldError as told:
            raise told.error from told.__cause__
        raise AssertionError("the first process goes on without this one")

    def each(
        self, function: Callable[[Station, Share], Answer], station: Station, shares: Sequence[Share]
    ) -> list[Answer]:
        self._calls_n += 1
        for rank in range(1, self.n):
            self._store.put(self._key("call", self._calls_n, rank), (function, type(station), shares[rank]))
        try:
            with self._pulse.watching(self._key("failed")):
                answers = [function(station, shares[0])]
        except KeyboardInterrupt:
            self._raise_failure()
            raise
        for rank in range(1, self.n):
            if self._wait("failed", f"answer/{self._calls_n}/{rank}", of=rank) == "failed":
                self._raise_failure()
            answers.append(self._store.take(self._key("answer", self._calls_n, rank)))
        return answers

    def serve(self, *stations: object) -> Any:
        brought = {type(station): station for station in stations}
        while self._wait("outcome", f"call/{self._calls_n + 1}/{self.rank}", of=0) != "outcome":
            self._calls_n += 1
            function, kind, share = self._store.take(self._key("call", self._calls_n, self.rank))
            try:
                with self._pulse.watching(self._key("failed")):
                    answer = function(brought[kind], share)
            except KeyboardInterrupt:
                if not self._store.has(self._key("failed")):
                    raise
            else:
                self._store.put(self._key("answer", self._calls_n, self.rank), answer)
        return self._outcome()

    def taken(self, count: int) -> Iterator[int]:
        key = self._key("taken", self._calls_n)
        while (number := self._store.add(key, 1) - 1) < count:
            yield number

    def _key(self, *parts: object) -> str:
        return "/".join(map(str, (self._runs_n, *parts)))

    def _wait(self, *names: str, of: int) -> str:
        """Return the first of some keys of this run that is written."""
        found = wait_for(self._store, tuple(self._key(name) for name in names), of, self.n)
        return found.partition("/")[2]

    def _announce(self, error: BaseException) -> None:
        """Tell the others to stop; the first error of a run is the one that all raise."""
        self._store.put(self._key("error", self.rank), _carried(error))
        self._store.put_first(self._key("failed"), self.rank)

    def _raise_failure(self) -> None:
        """Raise the error of another process, if there is one."""
        if self._store.has(self._key("failed")):
            error, text = self._store.read(self._key("error", self._store.number(self._key("failed"))))
            raise error from _ElsewhereError(text)

    def _publish(self, is_value: bool, content: object, patience_s: float) -> None:
        """Tell the others how the run ended, and clear up when all have read it."""
        self._store.put(self._key("outcome"), (is_value, content))
        end_s = time.monotonic() + patience_s
        while self._store.add(self._key("read"), 0) < self.n - 1:
            if time.monotonic() > end_s:
                return  # to those who come late it stays readable as long as the store lives
            time.sleep(0.01)
        for name in ("outcome", "failed", *(f"error/{rank}" for rank in range(self.n))):
            self._store.remove(self._key(name))

    def _outcome(self) -> Any:
        is_value, content = self._store.read(self._key("outcome"))
        self._store.add(self._key("read"), 1)
        if is_value:
            return content
        error, text = content
        raise _ToldError(error) from _ElsewhereError(text)
