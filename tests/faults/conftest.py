"""A small world, and commands that start in no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_world import Whole, World, make_world
from warm_commands import WarmCommands, warm_commands


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    folder = tmp_path_factory.mktemp("commands")
    modules = ("t2av_bench.evaluation", "t2av_bench.companions.peers", "t2av_bench.results", "scipy.linalg")
    with warm_commands(folder, *modules, T2AV_BENCH_HOME=str(folder / "home")) as running:
        yield running


@pytest.fixture(scope="session")
def evaluated(world: World, commands: WarmCommands, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An evaluation to compare with."""
    folder = tmp_path_factory.mktemp("evaluated")
    ended = commands.run(*world.evaluate(folder, "--num-workers", "1"))
    assert ended.code == 0, ended.output
    return Whole(folder, ended.took_s)
