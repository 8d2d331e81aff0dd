"""Progress off a terminal: a line a minute, and nothing from what is done sooner."""

from __future__ import annotations

import pytest

from t2av_bench import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar(100, "Stage control", "step") as bar:
        for _ in range(100):
            clock[0] += 7.0
            bar.update()
            bar.set_postfix(loss="0.25", refresh=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Stage control: 9 of 100 steps, loss 0.25, about 11 min left"
    assert len(lines) == 11
    assert lines[-1] == "Stage control: 99 of 100 steps, loss 0.25, about 1 min left"


def test_what_was_done_before_says_nothing_of_the_rate(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar(1000, "Stage unet", "step") as bar:
        clock[0] += 30.0
        bar.update(990)
        for _ in range(2):
            clock[0] += 120.0
            bar.update()
    assert capsys.readouterr().err.splitlines() == [
        "Stage unet: 991 of 1000 steps, about 18 min left",
        "Stage unet: 992 of 1000 steps, about 16 min left",
    ]


def test_short_work_and_unwanted_progress_leave_no_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar(3, "checking files", "file") as bar:
        for _ in range(3):
            clock[0] += 10.0
            bar.update()
    with progress.progress_bar(3, "checking files", "file", wanted=False) as bar:
        clock[0] += 1000.0
        bar.update()
    assert capsys.readouterr() == ("", "")
