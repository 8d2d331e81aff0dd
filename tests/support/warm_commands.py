"""``t2av-bench`` in children of one process that has imported everything: a second per run instead of ten.

Run as a script, it reads one command per line from its standard input, runs it in a fork, and answers with the child's
number and, when it has ended, its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent


class Ended(NamedTuple):
    """How a command ended: exit code, or the negative number of the signal that killed it; time; and what it said."""

    code: int
    took_s: float
    output: str


class Running:
    """A command that has begun."""

    def __init__(self, pid: int, answers: Iterator[str], log: Path) -> None:
        self.pid, self._answers, self._log, self._began_s = pid, answers, log, time.monotonic()

    def kill(self, number: int, *, group: bool = True) -> None:
        """Send a signal to the command, by default also to all its children; nothing if it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def end(self) -> Ended:
        status = int(next(self._answers))
        took_s = time.monotonic() - self._began_s
        return Ended(os.waitstatus_to_exitcode(status), took_s, self._log.read_text(encoding="utf-8"))

    def survivors(self) -> list[str]:
        """Return the processes of the command's group that do not end by themselves."""
        for _ in range(100):
            table = subprocess.run(["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True, check=True).stdout
            rows = [line for line in table.splitlines() if line.split()[0] == str(self.pid)]
            left = [row for row in rows if row.split()[1][0] != "Z"]
            if not left:
                return []
            time.sleep(0.1)
        return left


class WarmCommands:
    """Runs commands one after the other."""

    def __init__(self, folder: Path, modules: Sequence[str], environment: dict[str, str]) -> None:
        self._log, self._env = folder / "log.txt", environment
        paths = os.pathsep.join([str(ROOT), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment, "PYTHONPATH": paths},
        )
        assert self._process.stdout is not None
        self._answers = iter(self._process.stdout)
        next(self._answers)  # it is up

    def start(self, *args: str | Path, before: str = "") -> Running:
        """Begin a command; ``before`` is Python code that runs in the child first."""
        assert self._process.stdin is not None
        order = {"args": [str(arg) for arg in args], "log": str(self._log), "before": before}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Running(int(next(self._answers)), self._answers, self._log)

    def run(self, *args: str | Path, before: str = "") -> Ended:
        return self.start(*args, before=before).end()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def warm_commands(folder: Path, *modules: str, **environment: str) -> Iterator[WarmCommands]:
    commands = WarmCommands(folder, modules, environment)
    try:
        yield commands
    finally:
        commands.close()


def _serve() -> None:
    from importlib import import_module

    for module in ("t2av_bench.cli", *sys.argv[1:]):
        import_module(module)
    print("up", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_command(order)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _be_the_command(order: dict[str, object]) -> None:
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(number, target)
        from t2av_bench.cli import main

        exec(str(order["before"]), {})
        main(order["args"], prog_name="t2av-bench")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        import multiprocessing.util

        multiprocessing.util._exit_function()  # what the interpreter does at its end
        os._exit(code)


if __name__ == "__main__":
    _serve()
