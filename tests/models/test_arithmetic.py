"""Device choice, the exact arithmetic of metrics, and passes of a fixed size."""

from __future__ import annotations

import pytest
import torch

from t2av_bench.errors import UsageError
from t2av_bench.models.extractors.arithmetic import exact_arithmetic, in_fixed_chunks, resolve_device

CPU = torch.device("cpu")


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == CPU
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "mps", "meta", "", "cuda:x"])
def test_other_device_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="`device` must be auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_absent_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert resolve_device("cuda:0").index == 0
    with pytest.raises(UsageError, match="no device 'cuda:1' here: torch sees 1"):
        resolve_device("cuda:1")


def _switches() -> dict[str, object]:
    backends = torch.backends
    return {
        "matmul": torch.get_float32_matmul_precision(),
        "cuda": backends.cuda.matmul.allow_tf32,
        "benchmark": backends.cudnn.benchmark,
        "deterministic": backends.cudnn.deterministic,
        "cudnn": backends.cudnn.allow_tf32,
    }


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_global_switches_are_put_back(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    try:
        before = _switches()
        with exact_arithmetic(CPU):
            assert torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.benchmark
        assert _switches() == before
        with pytest.raises(RuntimeError, match="must match"), exact_arithmetic(CPU):
            torch.zeros(2) + torch.zeros(3)
        assert _switches() == before
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_products_are_full_float32_whatever_the_caller_set(precision: str) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(256, 256, generator=generator) for _ in range(2))
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), exact_arithmetic(CPU):
            product = left @ right
            assert product.dtype == torch.float32
            assert not torch.is_grad_enabled()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (product.double() - left.double() @ right.double()).abs().max() < 1e-4  # bfloat16: 0.2


def test_every_pass_has_the_same_size() -> None:
    sizes = []

    def double(chunk: torch.Tensor) -> torch.Tensor:
        sizes.append(len(chunk))
        return 2 * chunk

    rows = torch.arange(14.0).reshape(7, 2)
    assert torch.equal(in_fixed_chunks(double, rows, 3), 2 * rows)
    assert torch.equal(in_fixed_chunks(double, rows[:1], 3), 2 * rows[:1])
    assert sizes == [3, 3, 3, 3]
