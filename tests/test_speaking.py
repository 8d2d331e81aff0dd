"""Which of several processes speaks, seen from one that is not the first."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import click
import pytest

from t2av_bench.cli import _speaking, main
from t2av_bench.cli._speaking import only_the_first_speaks
from t2av_bench.distributed import launch as distributed


@pytest.fixture(autouse=True)
def _second_of_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_speaking, "_HELD_BACK_S", 0.1)
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def fail(code: int = 1) -> None:
    with only_the_first_speaks():
        click.echo("a table")
        click.echo("why", err=True)
        raise SystemExit(code)


def test_it_is_silent_when_all_is_well(capsys: pytest.CaptureFixture[str]):
    with only_the_first_speaks():
        print("a table")
        print("a warning", file=sys.stderr)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SystemExit, match="0"):
        fail(0)
    assert capsys.readouterr() == ("", "")


def test_it_is_silent_about_what_the_first_one_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(distributed, "_joined_n", 1)
    with pytest.raises(SystemExit, match="1"):
        fail()
    with pytest.raises(SystemExit, match="1"), only_the_first_speaks():
        raise ZeroDivisionError("a bug that the first process raises too")
    assert capsys.readouterr() == ("", "")


def test_it_speaks_if_it_fails_before_it_has_found_the_others_and_nobody_ends_it(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="1"):
        fail()
    assert capsys.readouterr() == ("", "why\n")
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--nonsense"])
    assert "No such option" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError, match="a bug"), only_the_first_speaks():
        raise ZeroDivisionError("a bug")


def test_it_is_silent_when_the_first_one_has_ended(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_speaking, "_HELD_BACK_S", 30.0)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit, match="1"):
        fail()
    assert capsys.readouterr() == ("", "")


def test_the_first_one_speaks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit, match="1"):
        fail()
    assert capsys.readouterr() == ("a table\n", "why\n")
