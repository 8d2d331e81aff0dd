"""Full and read-only disks: one line, nothing half written, and the same command goes on when there is room."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import web_server
from registering import registered
from small_world import Whole, World, listing
from warm_commands import Ended, WarmCommands

from t2av_bench.files import is_temporary


class Disk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.folder)], check=True, capture_output=True, timeout=10)

    def change(self, options: str) -> None:
        self._mount("-o", f"remount,{options}")

    def leftovers(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if is_temporary(path)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Make a disk of a size; needs the right to mount."""
    mounted: list[Disk] = []

    def make(size: str) -> Disk:
        try:
            mounted.append(Disk(tmp_path / f"disk{len(mounted)}", size))
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"needs the right to mount a file system in memory ({type(error).__name__})")
        return mounted[-1]

    yield make
    for one in mounted:
        subprocess.run(["umount", "-l", str(one.folder)], check=False, capture_output=True, timeout=10)


def failed_in_one_line(ended: Ended, *said: str) -> None:
    assert ended.code == 1, ended.output
    (line,) = [line for line in ended.output.splitlines() if line.startswith("Error: ")]
    assert ended.output.count("\n") == 1, ended.output
    for words in said:
        assert words in line


def test_a_cache_that_fills_up(
    world: World, commands: WarmCommands, evaluated: Whole, disk: Callable[[str], Disk], tmp_path: Path
):
    full = disk("256k")
    (tmp_path / "work").mkdir()
    args = world.evaluate(tmp_path / "work", "--num-workers", "0")
    args[args.index("--cache-dir") + 1] = full.folder / "cache"
    failed_in_one_line(
        commands.run(*args), str(full.folder), "No space left", "--cache-dir", "what is already in it is kept"
    )
    assert not full.leftovers()
    assert len(listing(full.folder)) > 10
    full.change("size=16m")
    assert commands.run(*args).code == 0
    shutil.copytree(full.folder / "cache", tmp_path / "work" / "cache")
    assert evaluated.equals(tmp_path / "work")


def test_a_result_that_does_not_fit(world: World, commands: WarmCommands, disk: Callable[[str], Disk], tmp_path: Path):
    full = disk("4k")
    args = world.evaluate(tmp_path, "--num-workers", "0")
    args[args.index("-o") + 1] = full.folder / "result.json"
    failed_in_one_line(commands.run(*args), str(full.folder), "cannot be written", "No space left")
    assert listing(full.folder) == []
    full.change("size=1m")
    again = commands.run(*args)
    assert again.code == 0, again.output
    assert listing(full.folder) == ["result.json", "result.per_clip.csv"]


def test_read_only_folders_are_read_and_named_where_something_must_be_written(
    world: World, commands: WarmCommands, evaluated: Whole, disk: Callable[[str], Disk], tmp_path: Path
):
    locked = disk("64m")
    data = locked.folder / "data"
    shutil.copytree(world.manifest.parent, data)
    there = World(data / "manifest.csv", data / "media", data / "predictions" / world.predictions.name)
    (locked.folder / "cache").mkdir()
    args = there.evaluate(tmp_path, "--num-workers", "0")
    warm = [*args]
    warm[warm.index("--cache-dir") + 1] = locked.folder / "filled"
    assert commands.run(*warm).code == 0
    locked.change("ro")
    # Media, predictions and a cache that has everything may be read-only.
    assert commands.run(*args).code == 0
    assert commands.run(*warm).code == 0
    empty = [*args]
    empty[empty.index("--cache-dir") + 1] = locked.folder / "cache"
    failed_in_one_line(commands.run(*empty), "cache cannot be written", "Read-only file system", "--cache-dir")
    out = [*warm]
    out[out.index("-o") + 1] = locked.folder / "new" / "result.json"
    # Before any file is read.
    out[out.index("--pred-dir") + 1] = tmp_path / "nowhere"
    failed_in_one_line(commands.run(*out), "result.json: cannot be written", "Read-only file system")
    states = ["manifest", "check", there.manifest, "--data-dir", data, "--cache-dir", tmp_path / "states"]
    assert commands.run(*states, "--num-workers", "0").code == 0
    failed_in_one_line(
        commands.run(*states, "--num-workers", "0", "-o", locked.folder / "x.csv"), "Read-only file system"
    )


def test_a_home_folder_that_fills_up_during_a_download(
    commands: WarmCommands, server: web_server.Server, disk: Callable[[str], Disk]
):
    content = np.random.default_rng(0).bytes(1_500_000)
    server.files["/vggish"] = content
    full = disk("1m")
    before = registered(server.url, content, full.folder)
    args = ["download", "weights", "--only", "vggish"]
    failed_in_one_line_of_many(commands.run(*args, before=before), "must fit on the disk", "Make room")
    # Another program takes the room that was there when it began.
    blind = before + "import shutil\nshutil.disk_usage = lambda path: shutil._ntuple_diskusage(2**40, 0, 2**40)\n"
    failed_in_one_line_of_many(commands.run(*args, before=blind), "No space left", "what has arrived is kept")
    full.change("size=8m")
    server.seen.clear()
    again = commands.run(*args, before=before)
    assert again.code == 0, again.output
    assert server.seen[-1][1] is not None  # a Range: it went on
    (file,) = full.folder.rglob("*.pth")
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(content).digest()


def failed_in_one_line_of_many(ended: Ended, *said: str) -> None:
    assert ended.code == 1, ended.output
    assert "Traceback" not in ended.output
    for words in said:
        assert words in ended.output


@pytest.mark.skipif(os.name == "nt", reason="named pipes")
def test_a_pipe_among_the_predictions_is_named_and_not_waited_for(world: World, commands: WarmCommands, tmp_path: Path):
    predictions = tmp_path / "predictions"
    shutil.copytree(world.predictions, predictions)
    first = sorted(predictions.iterdir())[0]
    first.unlink()
    os.mkfifo(first)
    args = world._replace(predictions=predictions).evaluate(tmp_path, "--num-workers", "1")
    ended = commands.run(*args)
    assert ended.code == 1
    assert f"{first}: is no regular file" in ended.output
    assert ended.took_s < 10
