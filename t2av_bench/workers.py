"""Loader processes that survive a crashing decoder and say which job it was.

``concurrent.futures`` and ``multiprocessing.Pool`` either break or wait for ever when a worker dies, and neither knows
which job killed it. Decoders do die on damaged files, and some never return.

Workers are started afresh (``forkserver``, else ``spawn``): a fork of a process that runs torch or CUDA is unsafe. They
do not import the caller's main module unless the function comes from there, so a plain script may call the toolkit
without an ``if __name__ == "__main__":`` guard.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeVar

from t2av_bench._loader_process import STARTING, JobFailure, crash_reason, failure_of, serve
from t2av_bench.errors import MediaError, T2AVBenchError, UsageError

__all__ = ["JobFailure", "failure_of", "run_jobs", "run_one"]

Job = TypeVar("Job")
Result = TypeVar("Result")

# One job runs while the next one waits in the worker, so that it need not wait for the caller to come back.
_JOBS_PER_WORKER = 2
# A larger job is only sent to a worker that waits for one: it would fill the pipe and block the caller.
_SMALL_JOB_BYTES = 16_384
# A job that was in a worker when it died without anyone's fault is tried this often.
_TRIES = 5
# In place of the index of the job that is to blame.
_NOBODY = -1
# What reading from a worker that has died gives.
_DEAD = (-1, None)
# Exit codes that tell nothing of the job: SIGTERM goes to all processes of a cluster's job at once, and the second is
# what is known of a worker when its fork server has been ended, too.
_NOBODYS_FAULT = (-signal.SIGTERM, 255)
# How long the exit code of a process may take to arrive once its pipe has broken.
_EXIT_S = 5.0


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    num_workers: int,
    timeout_s: float | None = 300.0,
    initializer: Callable[[], object] | None = None,
) -> Generator[tuple[int, Result | JobFailure], None, None]:
    """Run a function on jobs in worker processes; results come as they finish.

    Close the iterator (``contextlib.closing``) when leaving it early: that stops the workers at once.

    Parameters
    ----------
    function
        Called in a worker with one job; must be picklable.
    jobs
        Taken one by one as workers become free, at most two per worker ahead.
    num_workers
        Processes; 0 runs everything in this process, in order: there, a file that crashes the decoder ends the run
        without a word, and one that makes it wait for ever holds it up.
    timeout_s
        A job that takes longer is given up and its worker stopped; None waits for ever.
    initializer
        Called once in each worker before its first job; must be picklable.

    Yields
    ------
    index : int
        The job's place in ``jobs``.
    outcome
        What the function returned, or a :class:`JobFailure` if it raised a ``T2AVBenchError``, its process died,
        or it ran out of time.

    Raises
    ------
    Exception
        Whatever else the function raised, with the worker's traceback as its cause.
    UsageError
        If workers cannot be started.
    """
    if num_workers < 0:
        raise UsageError(f"The number of workers must be 0 or more, given: {num_workers}.")
    if num_workers == 0 or multiprocessing.current_process().daemon:  # a daemon may not have children
        return _run_here(function, jobs, initializer)
    return _run_pool(function, jobs, num_workers, timeout_s, initializer)


def run_one(function: Callable[[Job], Result], job: Job, path: str | Path) -> Result:
    """Run a function that reads one media file in a process of its own, which may crash alone.

    Parameters
    ----------
    function, job
        As for :func:`run_jobs`.
    path
        The file.

    Raises
    ------
    T2AVBenchError
        What the function raised on purpose; a :class:`MediaError` if its process died or ran out of time.
    """
    with closing(run_jobs(function, [job], num_workers=1)) as outcomes:
        ((_, outcome),) = outcomes
    if isinstance(outcome, JobFailure):
        raise outcome.error or MediaError(path, outcome.reason)
    return outcome


def _run_here(
    function: Callable[[Job], Result], jobs: Iterable[Job], initializer: Callable[[], object] | None
) -> Generator[tuple[int, Result | JobFailure], None, None]:
    if initializer is not None:
        initializer()
    for index, job in enumerate(jobs):
        try:
            outcome: Result | JobFailure = function(job)
        except T2AVBenchError as error:
            outcome = failure_of(error)
        yield index, outcome


def _run_pool(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    num_workers: int,
    timeout_s: float | None,
    initializer: Callable[[], object] | None,
) -> Generator[tuple[int, Result | JobFailure], None, None]:
    pool = _Pool(pickle.dumps((function, initializer)), jobs, num_workers, timeout_s)
    try:
        while pool.fill():
            yield from pool.collect()
    finally:
        pool.stop()


@dataclass
class _Task:
    index: int
    payload: bytes
    tries_n: int = 0


class _Pool:
    """The caller's side: hands out jobs, collects outcomes, replaces dead workers."""

    def __init__(self, setup: bytes, jobs: Iterable[Any], num_workers: int, timeout_s: float | None) -> None:
        self._setup = setup
        self._jobs = enumerate(jobs)
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()

    def fill(self) -> bool:
        """Give out as many jobs as workers take; False when there is nothing left to wait for."""
        while (task := self._next_task()) is not None:
            worker = self._worker_for(task)
            if worker is None:
                self._waiting.appendleft(task)
                break
            worker.give(task)
        return any(worker.tasks for worker in self._workers)

    def _next_task(self) -> _Task | None:
        if self._waiting:
            return self._waiting.popleft()
        if sum(len(worker.tasks) for worker in self._workers) >= _JOBS_PER_WORKER * self._num_workers:
            return None
        index, job = next(self._jobs, (None, None))
        return None if index is None else _Task(index, pickle.dumps(job))

    def _worker_for(self, task: _Task) -> _Worker | None:
        idle = [worker for worker in self._workers if not worker.tasks]
        if idle:
            return idle[0]
        if len(self._workers) < self._num_workers:
            self._workers.append(_Worker(self._setup))
            return self._workers[-1]
        least = min(self._workers, key=lambda worker: len(worker.tasks))
        fits = len(least.tasks) < _JOBS_PER_WORKER and len(task.payload) <= _SMALL_JOB_BYTES
        return least if fits else None

    def collect(self) -> Iterator[tuple[int, Any]]:
        """Wait until something happens and yield the outcomes that came of it."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in connection.wait(list(by_pipe), self._wait_s()):
            worker = by_pipe[pipe]
            outcome = worker.receive()
            if outcome is _DEAD:
                worker.process.join(_EXIT_S)
                code = worker.process.exitcode
                culprit = _NOBODY if code in _NOBODYS_FAULT else worker.running.value
                yield from self._bury(worker, culprit, crash_reason(code))
            elif outcome is not None:
                yield outcome
        now_s = time.monotonic()
        for worker in [worker for worker in self._workers if worker.overdue(self._timeout_s, now_s)]:
            if not worker.pipe.poll():  # else it has finished after all
                reason = f"the decoder did not finish within {self._timeout_s:g} s"
                # Not always the first: its outcome may be stuck behind a decoder that does not let threads run.
                culprit = worker.running.value
                yield from self._bury(worker, culprit if culprit >= 0 else worker.tasks[0].index, reason)

    def _wait_s(self) -> float | None:
        if self._timeout_s is None:
            return None
        started = [worker.started_s for worker in self._workers if worker.started_s is not None]
        return max(0.0, min(started) + self._timeout_s - time.monotonic()) if started else None

    def _bury(self, worker: _Worker, culprit: int, reason: str) -> Iterator[tuple[int, JobFailure]]:
        """Remove a worker; the culprit fails, its other jobs go to another worker."""
        worker.stop()
        self._workers.remove(worker)
        if worker.running.value == STARTING and worker.process.exitcode not in _NOBODYS_FAULT:
            raise UsageError(
                f"A loader process could not start (exit code {worker.process.exitcode}). In a script that defines its "
                'own extractors, put the call under `if __name__ == "__main__":`, or use num_workers=0.'
            )
        failures = []
        for task in worker.tasks:
            task.tries_n += 1
            if task.index == culprit or task.tries_n == _TRIES:
                failures.append((task.index, JobFailure(reason)))
            else:
                self._waiting.append(task)
        yield from failures

    def stop(self) -> None:
        """Stop all workers at once."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.stop()
        self._workers.clear()


class _Worker:
    """One process, its pipe, and the jobs it holds, the running one first."""

    def __init__(self, setup: bytes) -> None:
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self.pipe, far_end = context.Pipe()
        # Which job runs, in shared memory: a message would not get out of a crashing process.
        self.running = context.RawValue("q", STARTING)
        self.process = context.Process(target=serve, args=(far_end, self.running, setup), daemon=True)
        self.tasks: deque[_Task] = deque()
        self.ready = False
        self.started_s: float | None = None
        with _main_hidden(unless=b"__main__" in setup):
            self.process.start()
        # Only the worker may hold its end: the pipe then breaks when it dies.
        far_end.close()

    def give(self, task: _Task) -> None:
        """Send a job; a worker that is just dying is noticed on reading."""
        self.tasks.append(task)
        if self.ready and len(self.tasks) == 1:
            self.started_s = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((task.index, task.payload))

    def receive(self) -> tuple[int, Any] | None:
        """Read one message: an outcome, None for the sign that the worker is up, or ``_DEAD``."""
        try:
            kind, index, value = self.pipe.recv()
        except (EOFError, OSError):
            return _DEAD
        if kind == "raised":
            error, text = value
            raise error from _RemoteTracebackError(text)
        self.ready = True
        if kind == "done":
            self.tasks.popleft()
        self.started_s = time.monotonic() if self.tasks else None
        return (index, value) if kind == "done" else None

    def overdue(self, timeout_s: float | None, now_s: float) -> bool:
        return timeout_s is not None and self.started_s is not None and now_s > self.started_s + timeout_s

    def kill(self) -> None:
        # Not if it has ended: its number may already be another process's.
        if self.process.exitcode is None:
            self.process.kill()

    def stop(self) -> None:
        self.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def _main_hidden(unless: bool) -> Iterator[None]:
    """Keep starting processes from importing the caller's main module, which may be a script without a guard."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "The script was imported by one of its own loader processes and called the toolkit again. Put the call "
            'under `if __name__ == "__main__":`, or use num_workers=0.'
        )
    main = sys.modules["__main__"]
    hidden = {} if unless else {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


class _RemoteTracebackError(Exception):
    """The traceback of a worker, as text, to be shown as the cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"
