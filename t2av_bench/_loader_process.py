"""What runs inside a loader process; :mod:`t2av_bench.workers` is the caller's side.

Messages to the caller are pickled ``(kind, index, value)``: ``ready`` once, then ``done`` with the outcome of a job, or
``raised`` with an exception that is a bug and its traceback.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from t2av_bench.errors import MediaError, T2AVBenchError

# What ``running`` holds outside of jobs: before the function is loaded, and between jobs.
STARTING = -2
_IDLE = -1


@dataclass(frozen=True)
class JobFailure:
    """Why one job has no result.

    Attributes
    ----------
    reason
        A clause that can stand behind the file name, such as ``the decoder crashed (signal 11, SIGSEGV)``.
    error
        The error the function raised; None if its process crashed or was stopped.
    """

    reason: str
    error: T2AVBenchError | None = None


def failure_of(error: T2AVBenchError) -> JobFailure:
    """Turn an error raised on purpose into an outcome."""
    return JobFailure(error.reason if isinstance(error, MediaError) else str(error), error)


def crash_reason(code: int | None) -> str:
    """Say how a process died, from its exit code."""
    if code is None:
        return "the decoder's process stopped answering"
    if code >= 0:
        return f"the decoder ended its process (exit code {code})"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    hint = ", perhaps out of memory" if name == "SIGKILL" else ""
    return f"the decoder crashed (signal {-code}, {name}{hint})"


def serve(pipe: connection.Connection, running: Any, setup: bytes) -> None:
    """Run jobs until the caller closes the pipe.

    Parameters
    ----------
    pipe
        Jobs come as ``(index, pickled job)``, outcomes go back.
    running
        Shared integer for the index of the running job; negative when there is none.
    setup
        The pickled function and initializer.
    """
    # Ctrl-C goes to all processes of the terminal; the caller decides what it means and stops the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    outbox: queue.Queue[bytes] = queue.Queue(maxsize=1)
    threading.Thread(target=_send_all, args=(pipe, outbox), daemon=True).start()
    try:
        function, initializer = pickle.loads(setup)
        if initializer is not None:
            initializer()
    except BaseException as error:
        outbox.put(_raised(-1, error))
        outbox.join()
        return
    running.value = _IDLE
    outbox.put(pickle.dumps(("ready", -1, None)))
    outbox.join()  # a decoder that does not let threads run must not keep it from the caller
    with suppress(EOFError, OSError):
        while True:
            index, payload = pipe.recv()
            running.value = index
            message = _run_one(function, index, payload)
            running.value = _IDLE
            outbox.put(message)


def _run_one(function: Callable[[Any], Any], index: int, payload: bytes) -> bytes:
    try:
        return pickle.dumps(("done", index, function(pickle.loads(payload))), protocol=5)
    except T2AVBenchError as error:
        failure = failure_of(error)
        return _readable(("done", index, failure)) or pickle.dumps(("done", index, JobFailure(failure.reason)))
    except MemoryError:
        return pickle.dumps(("done", index, JobFailure("needs more memory than there is")))
    except BaseException as error:
        return _raised(index, error)


def _raised(index: int, error: BaseException) -> bytes:
    text = "".join(traceback.format_exception(error))
    # The caller must not exit because a job called sys.exit().
    message = _readable(("raised", index, (error, text))) if isinstance(error, Exception) else None
    return message or pickle.dumps(("raised", index, (RuntimeError(f"{type(error).__name__}: {error}"), text)))


def _readable(message: object) -> bytes | None:
    """Pickle a message with an exception; None if that fails, or would fail on reading, as some exceptions do."""
    try:
        pickled = pickle.dumps(message)
        pickle.loads(pickled)
    except Exception:
        return None
    return pickled


def _send_all(pipe: connection.Connection, outbox: queue.Queue[bytes]) -> None:
    """Send outcomes from a thread of its own: the next job need not wait until the caller reads."""
    with suppress(OSError):
        while True:
            pipe.send_bytes(outbox.get())
            outbox.task_done()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
