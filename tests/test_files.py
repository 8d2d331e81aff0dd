"""Files appear whole or not at all, leftovers go, and those of runs that go on stay."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from t2av_bench import files
from t2av_bench.files import is_temporary, reading, remove_leftovers, replacing, replacing_folder


def leftover(folder: Path, name: str = "clip.wav", **instead: str) -> Path:
    """A temporary file as a killed run leaves it, with parts of its name replaced."""
    with suppress(FileNotFoundError), replacing(folder / name) as temporary:
        found = files._TEMPORARY.fullmatch(temporary.name)
    assert found is not None
    parts = {**found.groupdict(), **instead}
    path = folder / name
    left = path.with_name(f".{path.stem}.{parts['machine']}-{parts['pid']}-{parts['process']}-f.part{path.suffix}")
    left.write_text("half")
    return left


def ended_process() -> str:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return str(process.pid)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path):
    with replacing(tmp_path / "a.txt", durable=True) as temporary:
        temporary.write_text("one")
        assert not (tmp_path / "a.txt").exists()
        assert is_temporary(temporary)
        assert temporary.suffix == ".txt"
    assert (tmp_path / "a.txt").read_text() == "one"
    with suppress(KeyboardInterrupt), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("two")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "one"


def test_the_longest_id_of_a_clip_leaves_room_for_the_temporary_name(tmp_path: Path):
    with replacing(tmp_path / ("ä" * 100 + ".flac")) as temporary:
        temporary.write_text("")


def test_leftovers_of_ended_processes_go_and_nothing_else_does(tmp_path: Path):
    gone = leftover(tmp_path, pid=ended_process(), process="0123abcd")
    earlier = leftover(tmp_path, process="0123abcd")  # an earlier process that had this one's number
    ours = leftover(tmp_path)
    running = leftover(tmp_path, pid=str(os.getppid()), process="0123abcd")
    elsewhere = leftover(tmp_path, machine="0123abcd", pid="1")
    others = [tmp_path / name for name in ("clip.wav", ".hidden", ".clip.part.wav", "a.part")]
    for path in others:
        path.write_text("x")
    remove_leftovers(tmp_path)
    assert not gone.exists()
    assert not earlier.exists()
    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in (ours, running, elsewhere, *others)}


def test_another_machines_leftovers_go_after_a_day_by_the_servers_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old = leftover(tmp_path, machine="0123abcd")
    young = leftover(tmp_path, "other.wav", machine="0123abcd")
    # This machine's clock is wrong by years; the file server's stamps alone count.
    monkeypatch.setattr("time.time", lambda: 4e9)
    yesterday_s = young.stat().st_mtime - 25 * 3600
    os.utime(old, (yesterday_s, yesterday_s))
    remove_leftovers(tmp_path)
    assert not old.exists()
    assert young.exists()
    assert [path for path in tmp_path.iterdir() if is_temporary(path)] == [young]


def test_a_folder_that_was_never_finished_goes_too(tmp_path: Path):
    left = leftover(tmp_path, "shard", pid=ended_process(), process="0123abcd")
    left.unlink()
    (left / "deeper").mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def make_report(report: Path, page: str) -> None:
    with replacing_folder(report) as folder:
        (folder / "page").write_text(page)


# Killed as a process is, without another word, at a rename of the new folder to its final name: before it or after it.
KILLED = """
import os, sys
from pathlib import Path
from t2av_bench import files
rename = os.replace
def killed(old, new):
    if files.is_temporary(old):
        if sys.argv[2] == "after":
            rename(old, new)
        os._exit(9)
    rename(old, new)
os.replace = killed
with files.replacing_folder(Path(sys.argv[1])) as folder:
    (folder / "page").write_text("later")
"""


@pytest.mark.parametrize("name", ["report", "report.v1"])
@pytest.mark.parametrize(("moment", "page"), [("before", "earlier"), ("after", "later")])
def test_a_run_killed_while_it_replaces_a_folder_leaves_one_of_both(tmp_path: Path, name: str, moment: str, page: str):
    report = tmp_path / name
    make_report(report, "earlier")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(report), moment], check=False)
    assert killed.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    with suppress(KeyboardInterrupt), replacing_folder(report):
        # Put back before the next run makes anything, so that one that fails as well loses nothing.
        assert report.joinpath("page").read_text() == page
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [report]
    assert report.joinpath("page").read_text() == page
    make_report(report, "last")
    assert report.joinpath("page").read_text() == "last"


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    report = tmp_path / "report"
    make_report(report, "earlier")
    rename = os.replace

    def refused(old: Path, new: Path) -> None:
        if ".part" in old.name:
            raise OSError(errno.EIO, "the server is gone")
        rename(old, new)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OSError, match="the server is gone"):
        make_report(report, "later")
    assert list(tmp_path.iterdir()) == [report]
    assert report.joinpath("page").read_text() == "earlier"


def test_only_the_leftovers_of_one_file(tmp_path: Path):
    mine = leftover(tmp_path, "result.json", pid=ended_process(), process="0123abcd")
    other = leftover(tmp_path, "other.json", pid=ended_process(), process="0123abcd")
    remove_leftovers(tmp_path, tmp_path / "result.json")
    assert not mine.exists()
    assert other.exists()


def test_a_folder_that_is_missing_has_no_leftovers(tmp_path: Path):
    remove_leftovers(tmp_path / "nowhere")


def test_a_forked_child_has_a_name_of_its_own(tmp_path: Path):
    assert files._process(1) != files._process(2)


def test_a_rename_whose_answer_got_lost_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rename = os.replace

    def twice(old: Path, new: Path) -> None:
        rename(old, new)
        raise FileNotFoundError(errno.ENOENT, "asked again after the answer got lost")

    monkeypatch.setattr(os, "replace", twice)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("one")
    assert (tmp_path / "a.txt").read_text() == "one"


def test_a_file_that_was_never_written_is_no_success(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileNotFoundError, match="a.txt"), replacing(tmp_path / "a.txt"):
        pass


def test_a_file_replaced_on_the_server_is_read_again(tmp_path: Path):
    answers = [OSError(errno.ESTALE, "Stale file handle")] * 2

    def read() -> str:
        if answers:
            raise answers.pop()
        return "content"

    assert reading(read) == "content"
    answers[:] = [OSError(errno.ESTALE, "Stale file handle")] * 3
    with pytest.raises(OSError, match="Stale"):
        reading(read)
    answers[:] = [OSError(errno.EIO, "Input/output error")]
    with pytest.raises(OSError, match="Input/output"):
        reading(read)
