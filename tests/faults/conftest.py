"""A small world, and commands that start in no time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_world import Whole, World, contents, make_world
from t2av_support import open_gates, tiny_config
from warm_commands import WarmCommands, warm_commands

from t2av_bench.models.t2av import build_mini


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    folder = tmp_path_factory.mktemp("commands")
    modules = ("t2av_bench.evaluation", "t2av_bench.companions.peers", "t2av_bench.results.result", "scipy.linalg")
    with warm_commands(folder, *modules, T2AV_BENCH_HOME=str(folder / "home")) as running:
        yield running


@pytest.fixture(scope="session")
def evaluated(world: World, commands: WarmCommands, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An evaluation to compare with."""
    folder = tmp_path_factory.mktemp("evaluated")
    ended = commands.run(*world.evaluate(folder, "--num-workers", "1"))
    assert ended.code == 0, ended.output
    return Whole(folder, ended.took_s)


@pytest.fixture(scope="session")
def generating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    folder = tmp_path_factory.mktemp("generating")
    modules = (
        "t2av_bench.generation.making",
        "t2av_bench.models.t2av.pipeline",
        "t2av_bench.models.t2av.loading",
        "soundfile",
    )
    with warm_commands(folder, *modules, T2AV_BENCH_HOME=str(folder / "home")) as running:
        yield running


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    pipeline = build_mini(tiny_config())
    open_gates(pipeline)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def generated(
    world: World, generating: WarmCommands, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """The files of a run without interruption, and how long it took."""
    out = tmp_path_factory.mktemp("generated") / "out"
    ended = generating.run(*world.generate(checkpoint, out))
    assert ended.code == 0, ended.output
    return contents(out), ended.took_s
