"""Training goes on where it stopped, and stops where it cannot go on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_support import LineStage, largest_file, make_trainer

from t2av_bench.errors import TrainingError, UsageError
from t2av_bench.models.training import checkpoints
from t2av_bench.models.training.logs import read_log
from t2av_bench.models.training.order import batch_indices
from t2av_bench.stopping import Stopped

ROOT = Path(__file__).resolve().parents[3]


class Stop(Exception):
    """Stands for a process that dies."""


def weights_of(stage: LineStage) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in stage.parameters()]


def trained(folder: Path, **settings: object) -> list[torch.Tensor]:
    stage = LineStage()
    make_trainer(stage, folder, **settings).train()  # type: ignore[arg-type]
    return weights_of(stage)


@pytest.mark.parametrize("stop_after", [1, 3, 4, 10])
@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.0}, {"gradient_accumulation": 2}], ids=str)
def test_a_resumed_stage_ends_with_the_same_bits(tmp_path: Path, stop_after: int, settings: dict[str, object]):
    whole = trained(tmp_path / "whole", **settings)
    stopped = LineStage()
    trainer = make_trainer(stopped, tmp_path / "parts", **settings)  # type: ignore[arg-type]
    update = trainer._update

    def dying(progress: object, batch: object) -> object:
        if progress.step == stop_after:  # type: ignore[attr-defined]
            raise Stop
        return update(progress, batch)  # type: ignore[arg-type]

    trainer._update = dying  # type: ignore[method-assign, assignment]
    with pytest.raises(Stop, match="^$"):
        trainer.train()
    random.seed(99)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - to see that the checkpoint brings its own state
    stage = LineStage()
    make_trainer(stage, tmp_path / "parts", **settings).train(resume=True)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(whole, weights_of(stage), strict=True))
    logs = [read_log(tmp_path / name / "log.csv") for name in ("whole", "parts")]
    assert [row["step"] for row in logs[0]] == [row["step"] for row in logs[1]]


class Interrupted(LineStage):
    """Gets a signal during an update."""

    def __init__(self, number: signal.Signals, at: int) -> None:
        super().__init__()
        self._number, self._at = number, at

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = super().forward(batch)
        if self.calls == self._at:
            signal.raise_signal(self._number)
        return loss


@pytest.mark.parametrize("at", [1, 5, 11])
@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_waits_for_the_update_and_loses_none(
    tmp_path: Path, number: signal.Signals, kind: type[KeyboardInterrupt], at: int
):
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(kind, match=f"^stage line is kept up to step {at}$") as caught:
        make_trainer(Interrupted(number, at), tmp_path / "parts", every=100).train()
    assert type(caught.value) is kind
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert [path.name for path in (tmp_path / "parts").iterdir() if path.is_dir()] == [f"step-{at:08d}"]
    stage = LineStage()
    make_trainer(stage, tmp_path / "parts", every=100).train(resume=True)
    assert stage.calls == 11 - at
    assert all(torch.equal(a, b) for a, b in zip(trained(tmp_path / "whole"), weights_of(stage), strict=True))


def test_a_signal_while_looking_is_heard_at_once_and_the_look_is_made_up_for(tmp_path: Path):
    def look(step: int) -> dict[str, float]:
        return {"seen": float(step)}

    def stopped(step: int) -> dict[str, float]:
        if step == 6:
            signal.raise_signal(signal.SIGTERM)
        return look(step)

    whole = trained(tmp_path / "whole", validate=look)
    with pytest.raises(Stopped, match="^stage line is kept up to step 6$"):
        make_trainer(LineStage(), tmp_path / "parts", validate=stopped).train()
    stage = LineStage()
    make_trainer(stage, tmp_path / "parts", validate=look).train(resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, weights_of(stage), strict=True))
    logs = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training_support import LineStage, make_trainer
stage = LineStage()
trainer = make_trainer(stage, Path(sys.argv[2]), every=1)
update = trainer._update
def slowly(progress, batch):
    print(progress.step, flush=True)
    time.sleep(0.05)
    return update(progress, batch)
trainer._update = slowly
trainer.train()
"""


@pytest.mark.slow
def test_a_stage_killed_at_any_moment_ends_with_the_same_bits(tmp_path: Path):
    whole = trained(tmp_path / "whole", every=1)
    command = [sys.executable, "-c", _CHILD, str(ROOT / "tests" / "support"), str(tmp_path / "parts")]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    moment = random.Random(os.urandom(4)).randint(1, 9)
    for line in child.stdout:
        if int(line) == moment:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    stage = LineStage()
    make_trainer(stage, tmp_path / "parts", every=1).train(resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, weights_of(stage), strict=True))


_PROCESS = """
import signal, sys, json
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from t2av_bench.stopping import Stopped
from training_support import LineStage, make_trainer
stage = LineStage()
trainer = make_trainer(stage, Path(sys.argv[2]))
update = trainer._update
def dying(progress, batch):
    if progress.step == int(sys.argv[3]):
        sys.exit(0)
    if progress.step == int(sys.argv[4]) and trainer.run.accelerator.process_index == 1:
        signal.raise_signal(signal.SIGTERM)  # one process only, as where one machine is taken
    return update(progress, batch)
trainer._update = dying
try:
    trainer.train(resume=True)
except Stopped as stop:
    Path(sys.argv[2], f"{trainer.run.accelerator.process_index}.stopped").write_text(str(stop))
    sys.exit(0)
weights = [parameter.tolist() for parameter in stage.parameters()]
Path(sys.argv[2], f"{trainer.run.accelerator.process_index}.json").write_text(json.dumps(weights))
"""


@pytest.mark.slow
def test_two_processes_hold_the_same_weights_also_when_resumed(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(_PROCESS)

    def run(name: str, die_at: int, stop_at: int = -1) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        arguments = [str(ROOT / "tests" / "support"), str(tmp_path / name), str(die_at), str(stop_at)]
        subprocess.run(command + arguments, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300)

    run("whole", -1)
    run("parts", 5)
    assert not (tmp_path / "parts" / "final").exists()
    run("parts", -1, stop_at=7)
    said = [(tmp_path / "parts" / f"{rank}.stopped").read_text() for rank in (0, 1)]
    assert said == ["stage line is kept up to step 8"] * 2
    run("parts", -1)
    results = [(tmp_path / name / f"{rank}.json").read_text() for name in ("whole", "parts") for rank in (0, 1)]
    assert len(set(results)) == 1


def test_looking_at_the_model_does_not_change_its_training(tmp_path: Path):
    def look(step: int) -> dict[str, float]:
        torch.rand(step)
        random.random()
        return {"seen": float(step)}

    assert all(
        torch.equal(a, b) for a, b in zip(trained(tmp_path / "a"), trained(tmp_path / "b", validate=look), strict=True)
    )
    assert [row["seen"] for row in read_log(tmp_path / "b" / "validation.csv")] == [3, 6, 9, 11]


def test_a_loss_that_is_not_finite_stops_with_step_and_last_good_checkpoint(tmp_path: Path):
    stage = LineStage(fail_at=8)
    with pytest.raises(TrainingError, match="loss is nan at step 8; .* last good checkpoint is .*step-00000006"):
        make_trainer(stage, tmp_path).train()
    assert all(torch.isfinite(weight).all() for weight in weights_of(stage))


@pytest.mark.parametrize(("full_at", "good"), [("step-00000006", "step-00000003"), ("final", "step-00000009")])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str, good: str
):
    write = checkpoints.write_folder

    def filling(path: Path, fill: Callable[[Path], None]) -> None:
        with largest_file(100) if path.name == full_at else nullcontext():
            write(path, fill)

    monkeypatch.setattr(checkpoints, "write_folder", filling)
    with pytest.raises(TrainingError, match=f"cannot be written .* last good checkpoint is .*{good}"):
        make_trainer(LineStage(), tmp_path).train()
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders[-1] == good
    assert not {full_at, f".{full_at}.part"} & set(folders)
    monkeypatch.undo()
    stage = LineStage()
    make_trainer(stage, tmp_path).train(resume=True)
    assert all(torch.equal(a, b) for a, b in zip(trained(tmp_path / "whole"), weights_of(stage), strict=True))


def test_a_damaged_checkpoint_is_named(tmp_path: Path):
    trained(tmp_path)
    newest = checkpoints.newest(tmp_path)
    assert newest is not None
    (newest / "training.pt").write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"training.pt: cannot be read"):
        make_trainer(LineStage(), tmp_path).train(resume=True)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path):
    trained(tmp_path)
    trainer = make_trainer(LineStage(), tmp_path)
    trainer.run.config["name"] = "other"
    with pytest.raises(UsageError, match="name is 'other', but .* was trained with 'test'"):
        trainer.train(resume=True)


def test_only_the_trained_parts_change_and_only_two_checkpoints_stay(tmp_path: Path):
    before, stage = LineStage(), LineStage()
    make_trainer(stage, tmp_path, every=2).train()
    assert torch.equal(before.part("fixed").weight, stage.part("fixed").weight)
    assert not torch.equal(before.part("line")[0].weight, stage.part("line")[0].weight)
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders == ["final", "step-00000008", "step-00000010"]
    assert (tmp_path / "loss.png").is_file() or len(read_log(tmp_path / "log.csv")) < 2


def test_a_batch_in_pieces_gives_the_same_update(tmp_path: Path):
    class Plain(LineStage):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            line = self.part("line")
            return (line[2](line[0](batch["x"])) - batch["y"]).square().mean()

    results = []
    for pieces_n in (1, 4):
        stage = Plain()
        make_trainer(stage, tmp_path / str(pieces_n), gradient_accumulation=pieces_n).train()
        results.append(weights_of(stage))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="stages.line.batch_size must be a multiple of .* = 3; given: 4"):
        make_trainer(LineStage(), tmp_path, gradient_accumulation=3)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 5), st.integers(0, 3))
def test_every_clip_is_used_once_per_round(clips_n: int, batch_size: int, rounds: int, seed: int):
    steps_n = clips_n * (rounds + 1)
    order = np.concatenate([batch_indices(clips_n, batch_size, step, seed) for step in range(steps_n)])
    for start in range(0, len(order) - clips_n + 1, clips_n):
        assert sorted(order[start : start + clips_n]) == list(range(clips_n))
