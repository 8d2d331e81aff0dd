"""How many threads matrix routines take: one for small matrices, and those of waiting processes for large ones."""

from __future__ import annotations

import os

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from t2av_bench.threads import few_threads_for_small_matrices


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize(("dim", "processes_n", "expected"), [(599, 1, 1), (599, 4, 1), (600, 1, 1), (600, 4, 4)])
def test_small_matrices_take_one_thread_and_large_ones_those_of_all_processes(
    dim: int, processes_n: int, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    with threadpool_limits(limits=1, user_api="blas"):  # as under torchrun
        with few_threads_for_small_matrices(dim, processes_n):
            assert blas_threads() == {expected}
        assert blas_threads() == {1}


def test_no_more_threads_than_cores_are_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with threadpool_limits(limits=1, user_api="blas"), few_threads_for_small_matrices(5000, 8):
        assert blas_threads() == {2}
