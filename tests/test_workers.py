"""Worker processes: results of all jobs, the culprit of every crash, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from t2av_bench.errors import MediaError, UsageError
from t2av_bench.workers import run_jobs

ROOT = Path(__file__).resolve().parent.parent

# Workers import it by name, which they cannot do with a test module.
JOBS = """
import os, signal, sys, time
import numpy as np
from t2av_bench.errors import MediaError, ProblemsError

started = []

def square(i): return i * i
def frames(i): return np.full((6, 1024, 1024), i, np.uint8)
def pid(i): time.sleep(0.05); return os.getpid()
def slow_first(i): time.sleep(0.5 if i == 0 else 0); return i
def note(): started.append(1)
def notes(i): return len(started)
def sleep(i): time.sleep(60)
def echo_size(data): return len(data)

def misbehave(job):
    if job == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if job == "exit": os._exit(7)
    if job == "killed": os.kill(os.getpid(), signal.SIGKILL)
    if job == "hang": time.sleep(60)
    if job == "spin":
        while True: pass
    if job == "media": raise MediaError("a.wav", "is empty (0 bytes)")
    if job == "problems": raise ProblemsError("2 clips", ())
    if job == "memory": raise MemoryError
    if job == "bug": raise KeyError("oops")
    if job == "sys.exit": sys.exit(0)
    if job == "unpicklable": return lambda: 0
    return job
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "t2av_test_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    import t2av_test_jobs

    yield t2av_test_jobs
    del sys.modules["t2av_test_jobs"]


def children() -> set[int]:
    """Return the process ids of all descendants, zombies included."""
    table = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in table.splitlines()[1:] if not line.endswith(" ps")]
    found, layer = set(), {os.getpid()}
    while layer:
        layer = {int(pid) for pid, parent, *_ in rows if int(parent) in layer}
        found |= layer
    return found


def living(group: int) -> list[str]:
    """Wait for the processes of a group to end and return those that do not."""
    rows: list[str] = []
    for _ in range(50):
        table = subprocess.run(["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True, check=True).stdout
        rows = [line for line in table.splitlines() if line.split()[0] == str(group) and line.split()[1][0] != "Z"]
        if not rows:
            break
        time.sleep(0.1)
    return rows


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_every_job_gives_its_result(jobs, num_workers):
    assert dict(run_jobs(jobs.square, range(20), num_workers=num_workers)) == {i: i * i for i in range(20)}


def test_no_jobs_start_no_workers(jobs):
    before = children()
    assert list(run_jobs(jobs.square, [], num_workers=2)) == []
    assert children() == before


def test_results_come_as_they_finish(jobs):
    assert [index for index, _ in run_jobs(jobs.slow_first, range(4), num_workers=2)][-1] in (0, 2)


def test_big_arrays_arrive_whole(jobs):
    for index, frames in run_jobs(jobs.frames, range(8), num_workers=2):
        assert frames.shape == (6, 1024, 1024)
        assert (frames == index).all()


def test_big_jobs_do_not_block(jobs):
    sizes = dict(run_jobs(jobs.echo_size, [bytes(3_000_000)] * 6, num_workers=2))
    assert sizes == dict.fromkeys(range(6), 3_000_000)


def test_jobs_are_taken_as_needed(jobs):
    taken = []
    source = (taken.append(i) or i for i in range(1000))
    with closing(run_jobs(jobs.square, source, num_workers=2)) as results:
        next(results)
        assert len(taken) <= 5


def test_the_initializer_runs_once_in_each_worker(jobs):
    assert dict(run_jobs(jobs.notes, range(6), num_workers=2, initializer=jobs.note)) == dict.fromkeys(range(6), 1)


def test_bad_jobs_fail_alone(jobs):
    reasons = {
        "segfault": "the decoder crashed (signal 11, SIGSEGV)",
        "killed": "the decoder crashed (signal 9, SIGKILL, perhaps out of memory)",
        "exit": "the decoder ended its process (exit code 7)",
        "hang": "the decoder did not finish within 1 s",
        "spin": "the decoder did not finish within 1 s",
        "media": "is empty (0 bytes)",
        "problems": "2 clips",
        "memory": "needs more memory than there is",
    }
    names = [name for reason in reasons for name in (f"good {reason}", reason)]
    outcomes = dict(run_jobs(jobs.misbehave, names, num_workers=2, timeout_s=1.0))
    assert len(outcomes) == len(names)
    for index, name in enumerate(names):
        assert getattr(outcomes[index], "reason", outcomes[index]) == reasons.get(name, name)


def test_errors_raised_on_purpose_keep_their_kind(jobs):
    for num_workers in (0, 1):
        (_, failure), *_ = run_jobs(jobs.misbehave, ["media"], num_workers=num_workers)
        assert isinstance(failure.error, MediaError)
        assert failure.error.path == Path("a.wav")


@pytest.mark.parametrize(
    ("job", "kind", "message"),
    [
        ("bug", KeyError, "oops"),
        ("sys.exit", RuntimeError, "SystemExit: 0"),
        ("unpicklable", Exception, "lambda"),
    ],
)
def test_a_bug_is_raised_with_its_traceback(jobs, job, kind, message):
    before = children()
    with pytest.raises(kind, match=message) as caught:
        list(run_jobs(jobs.misbehave, ["a", job, "b"], num_workers=2))
    assert "Traceback" in str(caught.value.__cause__)
    assert len(children() - before) <= 2  # forkserver and resource tracker, which stay for the next pool


def test_leaving_early_stops_the_workers(jobs):
    list(run_jobs(jobs.square, range(2), num_workers=1))
    before = children()
    with closing(run_jobs(jobs.pid, range(100), num_workers=2)) as results:
        _, worker = next(results)
        assert worker in children()
    assert children() == before


def test_a_function_that_workers_cannot_import(jobs):
    with pytest.raises(Exception, match="local object"):
        list(run_jobs(lambda job: job, range(2), num_workers=1))


def test_negative_workers(jobs):
    with pytest.raises(UsageError, match="must be 0 or more, given: -1"):
        run_jobs(jobs.square, [], num_workers=-1)


def run_script(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    return subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60, env=environment
    )


SCRIPT = """
from t2av_bench.workers import run_jobs
import t2av_test_jobs
print("once", sorted(run_jobs(t2av_test_jobs.square, range(4), num_workers=2)))
"""


def test_a_script_without_a_guard(jobs, tmp_path):
    run = run_script(tmp_path, SCRIPT)
    assert (run.stdout, run.stderr) == ("once [(0, 0), (1, 1), (2, 4), (3, 9)]\n", "")


OWN_FUNCTION = """
from t2av_bench.workers import run_jobs
def own(i): return i + 1
{guard}print(sorted(run_jobs(own, range(2), num_workers=1)))
"""


def test_a_function_of_the_script_itself(jobs, tmp_path):
    run = run_script(tmp_path, OWN_FUNCTION.format(guard='if __name__ == "__main__": '))
    assert (run.stdout, run.stderr) == ("[(0, 1), (1, 2)]\n", "")
    run = run_script(tmp_path, OWN_FUNCTION.format(guard=""))
    assert 'put the call under `if __name__ == "__main__":`, or use num_workers=0' in run.stderr


INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of some shells ignore it
from t2av_bench.workers import run_jobs
import t2av_test_jobs
pids = [pid for _, pid in run_jobs(t2av_test_jobs.pid, range(8), num_workers=2)]
for _ in run_jobs(t2av_test_jobs.sleep, announce(), num_workers=2): pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_caller(jobs, tmp_path, number):
    announce = "def announce():\n    for i in range(4):\n        print(i, flush=True)\n        yield i\n"
    (tmp_path / "script.py").write_text(announce + INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    command = [sys.executable, tmp_path / "script.py"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as caller:
        assert [caller.stdout.readline() for _ in range(4)] == ["0\n", "1\n", "2\n", "3\n"]
        time.sleep(0.3)
        started_s = time.monotonic()
        # Ctrl-C reaches the whole group, a kill only the caller.
        os.killpg(caller.pid, number) if number == signal.SIGINT else caller.kill()
        # The pipes stay open as long as any process that inherited them lives.
        _, errors = caller.communicate(timeout=10)
    assert time.monotonic() - started_s < 5
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    assert errors.count("Traceback") <= 1
    assert not living(caller.pid)
