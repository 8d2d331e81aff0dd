"""Killed at any moment and started again: the same results to the last bit, and nothing left behind.

The moments are drawn from a seed, evenly over the time that a run takes without interruption.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import web_server
from registering import registered
from small_world import Whole, World, listing
from t2av_support import open_gates, tiny_config
from warm_commands import WarmCommands, warm_commands

from t2av_bench.models.t2av import build_mini

_IN_ALL_N = 12


def moments(what: str, always_n: int) -> list[object]:
    """Return shares of a run's time to kill it at; the first few belong to the default tests."""
    drawn = random.Random(what)
    shares = [round(drawn.uniform(0.02, 0.95), 3) for _ in range(_IN_ALL_N)]
    return [pytest.param(share, marks=[pytest.mark.slow] * (i >= always_n)) for i, share in enumerate(shares)]


def kill(commands: WarmCommands, args: list[str | Path], after_s: float, before: str = "") -> bool:
    """Start a command and kill it with all its children; False if it has ended before that."""
    running = commands.start(*args, before=before)
    time.sleep(after_s)
    running.kill(signal.SIGKILL)
    ended = running.end()
    assert "Traceback" not in ended.output
    assert not running.survivors()
    return ended.code == -signal.SIGKILL


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listing(folder)}


@pytest.mark.parametrize("share", moments("evaluate", 2))
def test_an_evaluation(world: World, commands: WarmCommands, evaluated: Whole, tmp_path: Path, share: float):
    args = world.evaluate(tmp_path, "--num-workers", "1")
    kill(commands, args, share * evaluated.took_s)
    ended = commands.run(*args)
    assert ended.code == 0, ended.output
    assert evaluated.equals(tmp_path)


@pytest.fixture(scope="module")
def generating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    folder = tmp_path_factory.mktemp("generating")
    modules = (
        "t2av_bench.generation",
        "t2av_bench.models.t2av.pipeline",
        "t2av_bench.models.t2av.loading",
        "soundfile",
    )
    with warm_commands(folder, *modules, T2AV_BENCH_HOME=str(folder / "home")) as running:
        yield running


def generate(world: World, checkpoint: Path, out: Path) -> list[str | Path]:
    which = ["--checkpoint", checkpoint, "--manifest", world.manifest, "--out", out]
    return ["generate", *which, "--steps", "2", "--batch-size", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    pipeline = build_mini(tiny_config())
    open_gates(pipeline)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def generated(
    world: World, generating: WarmCommands, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """The files of a run without interruption, and how long it took."""
    out = tmp_path_factory.mktemp("generated") / "out"
    ended = generating.run(*generate(world, checkpoint, out))
    assert ended.code == 0, ended.output
    return contents(out), ended.took_s


@pytest.mark.parametrize("share", moments("generate", 0))
def test_a_generation(
    world: World,
    generating: WarmCommands,
    checkpoint: Path,
    generated: tuple[dict[str, bytes], float],
    tmp_path: Path,
    share: float,
):
    whole, took_s = generated
    args = generate(world, checkpoint, tmp_path / "out")
    kill(generating, args, share * took_s)
    ended = generating.run(*args)
    assert ended.code == 0, ended.output
    found = contents(tmp_path / "out")
    assert sorted(found) == sorted(whole)
    assert found == whole


@pytest.mark.parametrize("share", moments("download", 2))
def test_a_download(commands: WarmCommands, server: web_server.Server, tmp_path: Path, share: float):
    content = np.random.default_rng(0).bytes(3_000_000)
    server.files["/vggish"] = content
    server.script[:] = [web_server.slow(0.05)] * 4  # ten pieces, half a second

    args = ["download", "weights", "--only", "vggish"]
    whole = commands.run(*args, before=registered(server.url, content, tmp_path / "whole"))
    assert whole.code == 0, whole.output
    kill(commands, args, share * whole.took_s, before=registered(server.url, content, tmp_path / "killed"))
    ended = commands.run(*args, before=registered(server.url, content, tmp_path / "killed"))
    assert ended.code == 0, ended.output
    assert listing(tmp_path / "killed") == listing(tmp_path / "whole")
    (file,) = list((tmp_path / "killed").rglob("*.pth"))
    assert file.read_bytes() == content
