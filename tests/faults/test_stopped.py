"""SIGTERM, as a cluster sends it before it takes the machine: a clean end, one line, and the same command goes on."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from small_world import Whole, World, contents, listing
from training_support import tiny_recipe
from warm_commands import Ended, WarmCommands

from t2av_bench.cli import main
from t2av_bench.files import is_temporary
from t2av_bench.models.training.config import DataConfig
from t2av_bench.models.training.saving import Progress
from t2av_bench.stopping import Stopped, stopping_on_sigterm, stops_wait
from t2av_bench.workers import run_jobs

LINE = "Error: stopped by SIGTERM; what is done so far is kept, and the same command goes on from there\n"


@pytest.fixture(autouse=True)
def _hears_sigterm_again() -> Iterator[None]:
    yield
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stop(commands: WarmCommands, args: list[str | Path], after_s: float, group: bool) -> Ended:
    running = commands.start(*args)
    time.sleep(after_s)
    # A scheduler's signal reaches all processes of a job, or the first one only, and often more than once.
    for _ in range(2):
        running.kill(signal.SIGTERM, group=group)
    ended = running.end()
    assert running.survivors() == []
    return ended


@pytest.mark.parametrize(
    ("share", "group"),
    [
        (0.3, True),
        *(pytest.param(share, group, marks=pytest.mark.slow) for share in (0.1, 0.5, 0.7, 0.8) for group in (0, 1)),
    ],
)
def test_an_evaluation_ends_at_once_and_goes_on(
    world: World, commands: WarmCommands, evaluated: Whole, tmp_path: Path, share: float, group: int
):
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        args = world.evaluate(folder, "--num-workers", "2")
        ended = stop(commands, args, share * evaluated.took_s / 2**attempt, bool(group))
        if ended.code != 0:  # else the machine has less to do than when the whole run was timed: earlier, then
            break
    assert (ended.code, ended.output) == (143, LINE)
    assert not [path for path in folder.rglob("*") if is_temporary(path)]
    assert listing(folder / "out") == []
    again = commands.run(*args)
    assert again.code == 0, again.output
    assert evaluated.equals(folder)


@pytest.mark.parametrize("share", [0.6, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.2, 0.4, 0.8))])
def test_a_generation_ends_at_once_and_goes_on(
    world: World,
    generating: WarmCommands,
    checkpoint: Path,
    generated: tuple[dict[str, bytes], float],
    tmp_path: Path,
    share: float,
):
    whole, took_s = generated
    for attempt in range(4):
        out = tmp_path / str(attempt)
        args = world.generate(checkpoint, out)
        ended = stop(generating, args, share * took_s / 2**attempt, group=True)
        if ended.code != 0:
            break
    assert (ended.code, ended.output) == (143, LINE)
    found = contents(out) if out.is_dir() else {}
    assert found.items() <= whole.items(), "what is there is whole"
    again = generating.run(*args)
    assert again.code == 0, again.output
    assert contents(out) == whole


def test_training_is_kept_up_to_the_step_it_was_stopped_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    few = "{steps: 6, batch_size: 2}"
    recipe = dataclasses.replace(tiny_recipe(), data=DataConfig(clips_n=2, validation_clips_n=0))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe.to_mapping()))

    def train(name: str, *more: str) -> Result:
        where = ["--config", str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / name), "--num-workers", "0"]
        chosen = ["--stage", "clap", "--set", f"stages.clap={few}", "--set", "checkpoint_every=100"]
        return CliRunner().invoke(main, ["train-reference", *where, *chosen, *more])

    assert train("whole").exit_code == 0
    advance, calls = Progress.advance, []

    def stopping(self: Progress) -> None:
        calls.append(self.step)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGTERM)
        advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "advance", stopping)
        done = train("parts")
    assert done.exit_code == 143
    # The signal came after the processes had agreed on whether to end: one more update.
    line = "Error: stopped by SIGTERM; stage clap is kept up to step 5, and the same command with --resume goes on"
    assert f"{line} from there\n" in done.stderr
    assert train("parts", "--resume").exit_code == 0
    ends = [(tmp_path / name / "clap" / "final" / "clap.safetensors").read_bytes() for name in ("whole", "parts")]
    assert ends[0] == ends[1]


def test_training_that_is_stopped_before_its_first_step_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("t2av_bench.models.training.config.load_config", stopped)
    done = CliRunner().invoke(main, ["train-reference", "--config", "mini"])
    assert done.exit_code == 143
    assert "kept, and the same command with --resume goes on from there" in done.output


def test_a_request_waits_and_the_next_ctrl_c_does_not():
    done = []

    def work() -> None:
        with stops_wait() as request:
            signal.raise_signal(signal.SIGINT)
            done.append(request.came)
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt, match="^$"):
        work()
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_request_that_nothing_has_heard_is_raised_at_the_end():
    def work() -> None:
        with stopping_on_sigterm(), stops_wait():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped, match="^$"):
        work()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, "the process is about to end"


def test_a_request_that_came_before_is_heard_where_work_may_be_left():
    begun = []

    def work() -> None:
        with stops_wait() as request:
            signal.raise_signal(signal.SIGTERM)
            with request.at_once("all is kept"):
                begun.append(1)

    with pytest.raises(Stopped, match="^all is kept$"):
        work()
    assert begun == []


def test_a_second_signal_does_not_disturb_the_clearing_up():
    cleared = []

    def work() -> None:
        with stopping_on_sigterm():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                cleared.append(1)

    with pytest.raises(Stopped, match="^$"):
        work()
    assert cleared == [1]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, "the process is about to end"


def test_a_programs_own_handler_and_other_threads_are_left_alone():
    def own(*_: object) -> None:
        pass

    signal.signal(signal.SIGTERM, own)
    try:
        with stopping_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen = []

    def elsewhere() -> None:
        with stopping_on_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_a_worker_ended_by_sigterm_takes_no_clip_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "t2av_test_terminated.py").write_text(
        "import os, signal\n"
        "def once(path):\n"
        "    if not os.path.exists(path):\n"
        "        open(path, 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import t2av_test_terminated

    marks = [str(tmp_path / f"mark-{number}") for number in range(3)]
    assert dict(run_jobs(t2av_test_terminated.once, marks, num_workers=1)) == dict(enumerate(marks))
