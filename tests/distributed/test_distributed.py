"""Calls, answers and errors between the processes of a run, with threads in the place of processes."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from team import in_team

from t2av_bench.distributed import ALONE, Processes, launched, messages, processes, same_outcome
from t2av_bench.distributed import launch as distributed
from t2av_bench.errors import MediaError, Problem, ProblemsError, T2AVBenchError, UsageError


class Desk(NamedTuple):
    rank: int


def named(desk: Desk, share: str) -> tuple[int, str]:
    return desk.rank, share


def failing_on_one(desk: Desk, share: str) -> str:
    if desk.rank == 1:
        raise MediaError("a.wav", "is not nice")
    return share


@same_outcome
def shared(shares: list[str], *, function: Any = named, processes: Processes = ALONE) -> Any:
    desk = Desk(processes.rank)
    if not processes.leads:
        return processes.serve(desk)
    return processes.each(function, desk, shares)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_process_gets_its_share_and_all_return_the_same(n: int):
    shares = [f"share {rank}" for rank in range(n)]
    assert in_team(n, lambda team: shared(shares, processes=team)) == [list(enumerate(shares))] * n


def test_a_process_that_is_alone_does_everything_itself():
    assert shared(["all"]) == [(0, "all")]
    assert list(ALONE.taken(3)) == [0, 1, 2]
    assert ALONE.device("cuda:1") == "cuda:1"
    with pytest.raises(UsageError, match="no other process"):
        ALONE.serve()


def test_what_the_store_takes_only_in_parts_arrives_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(messages, "_PART_BYTES", 7)
    shares = ["", "x" * 100]
    assert in_team(2, lambda team: shared(shares, processes=team))[0] == [(0, ""), (1, "x" * 100)]


def test_an_error_of_any_process_is_raised_in_all_with_its_type_and_the_next_run_works():
    def twice(team: Processes) -> Any:
        with pytest.raises(MediaError, match="a.wav: is not nice") as caught:
            shared(["", "", ""], function=failing_on_one, processes=team)
        return caught.value.path, shared(["a", "b", "c"], processes=team)

    assert in_team(3, twice) == [(Path("a.wav"), [(0, "a"), (1, "b"), (2, "c")])] * 3


def interrupted_on_one(desk: Desk, share: str) -> str:
    if desk.rank == 1:
        raise KeyboardInterrupt
    return share


def slow_on_zero(desk: Desk, share: str) -> str:
    if desk.rank == 0:
        time.sleep(30.0)
    return failing_on_one(desk, share)


def test_nobody_works_on_when_another_process_has_failed():
    start_s = time.monotonic()
    errors = in_team(2, lambda team: shared(["", ""], function=slow_on_zero, processes=team))
    assert [type(error) for error in errors] == [MediaError, MediaError]
    assert time.monotonic() < start_s + 10.0


def test_nor_in_the_background_of_a_script_where_ctrl_c_is_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        test_nobody_works_on_when_another_process_has_failed()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_before_the_sharing_is_raised_in_all():
    @same_outcome
    def run(*, processes: Processes) -> None:
        if processes.rank == 2:
            raise ProblemsError("no weights here", [Problem("c", "missing", "", "is not there")])
        if not processes.leads:
            processes.serve(Desk(processes.rank))
        processes.each(named, Desk(0), ["", "", ""])

    for error in in_team(3, lambda team: run(processes=team)):
        assert isinstance(error, ProblemsError)
        assert (str(error), error.problems[0].clip_id) == ("no weights here", "c")


def test_an_error_of_the_first_process_is_raised_in_all_and_no_bug_loses_its_traceback():
    def unpicklable(desk: Desk, share: str) -> str:
        raise AssertionError("never called")

    @same_outcome
    def run(*, processes: Processes) -> None:
        if not processes.leads:
            processes.serve(Desk(1))
        raise ZeroDivisionError("a bug")

    first, second = in_team(2, lambda team: run(processes=team))
    assert isinstance(first, ZeroDivisionError)
    assert isinstance(second, ZeroDivisionError)
    assert "in run" in str(second.__cause__)
    # What cannot be sent is a bug too, and no reason to wait for ever.
    errors = in_team(2, lambda team: shared(["", ""], function=unpicklable, processes=team))
    assert all("unpicklable" in str(error) for error in errors)


def test_an_error_that_cannot_be_pickled_is_told_by_name_and_text():
    class LocalError(Exception):
        pass

    error, text = distributed._carried(LocalError("why"))
    assert str(error) == "LocalError: why"
    assert "LocalError" in text


def test_ctrl_c_in_one_process_ends_all():
    errors = in_team(2, lambda team: shared(["", ""], function=interrupted_on_one, processes=team))
    assert [type(error) for error in errors] == [KeyboardInterrupt] * 2


def test_what_the_first_process_calls_inside_a_run_is_part_of_it():
    @same_outcome
    def outer(*, processes: Processes = ALONE) -> Any:
        if not processes.leads:
            return processes.serve(Desk(processes.rank))
        return [shared(["a", "b"], processes=processes), shared(["c", "d"], processes=processes)]

    assert in_team(2, lambda team: outer(processes=team)) == [[[(0, "a"), (1, "b")], [(0, "c"), (1, "d")]]] * 2


class Queue(NamedTuple):
    processes: Processes


def take_all(queue: Queue, count: int) -> list[int]:
    taken = []
    for number in queue.processes.taken(count):
        taken.append(number)
        time.sleep(0.05 if queue.processes.leads else 0.001)
    return taken


def test_pieces_are_taken_once_and_more_by_whoever_is_faster():
    @same_outcome
    def run(*, processes: Processes = ALONE) -> Any:
        queue = Queue(processes)
        return processes.each(take_all, queue, [20, 20]) if processes.leads else processes.serve(queue)

    slow, fast = in_team(2, lambda team: run(processes=team))[0]
    assert sorted(slow + fast) == list(range(20))
    assert len(fast) > len(slow) > 0


def test_a_process_that_gives_no_sign_of_life_is_missed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(messages, "_LOST_S", 0.5)
    release = threading.Event()

    def run(team: Processes) -> Any:
        if team.rank == 1:
            team._pulse.close()  # type: ignore[attr-defined]
            return release.wait(30.0)
        try:
            return shared(["", ""], processes=team)
        finally:
            release.set()

    monkeypatch.setattr(distributed, "_READ_FAILURE_S", 0.1)
    error, _ = in_team(2, run)
    assert isinstance(error, T2AVBenchError)
    assert "process 1 of 2 (counted from 0) has given no sign of life" in str(error)


def test_only_the_variables_of_torchrun_make_several_processes(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert not launched()
    with processes() as team:
        assert team is ALONE
    for name, value in {"RANK": "zero", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert launched()
    with pytest.raises(UsageError, match="as torchrun sets them"), processes():
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not launched()


def test_processes_that_are_announced_and_do_not_come_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distributed, "_JOIN_S", 0.2)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(T2AVBenchError, match="2 processes that WORLD_SIZE announces did not find .* unset"),
        processes(),
    ):
        pass


def test_processes_of_one_machine_have_different_gpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert in_team(3, lambda team: (team.device("auto"), team.device("cuda"), team.device("cpu"))) == [
        ("cuda:0", "cuda:0", "cpu"),
        ("cuda:1", "cuda:1", "cpu"),
        ("cuda:0", "cuda:0", "cpu"),
    ]
    assert all("say cuda instead" in str(error) for error in in_team(2, lambda team: team.device("cuda:1")))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert in_team(2, lambda team: team.device("auto")) == ["auto", "auto"]
