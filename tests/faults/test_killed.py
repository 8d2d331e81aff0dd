"""Killed at any moment and started again: the same results to the last bit, and nothing left behind.

The moments are drawn from a seed, evenly over the time that a run takes without interruption.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import web_server
from registering import registered
from small_world import Whole, World, contents, listing
from warm_commands import WarmCommands

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


@pytest.mark.parametrize("share", moments("evaluate", 2))
def test_an_evaluation(world: World, commands: WarmCommands, evaluated: Whole, tmp_path: Path, share: float):
    args = world.evaluate(tmp_path, "--num-workers", "1")
    kill(commands, args, share * evaluated.took_s)
    ended = commands.run(*args)
    assert ended.code == 0, ended.output
    assert evaluated.equals(tmp_path)


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
    args = world.generate(checkpoint, tmp_path / "out")
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
