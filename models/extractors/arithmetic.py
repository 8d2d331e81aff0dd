"""Which device a network runs on, and how its arithmetic is kept the same from run to run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

from t2av_bench.errors import UsageError, no_such_name

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]
FULL: Precision = "fp32"

BUILDING = threading.RLock()
"""Held while a network is built or read: diffusers and accelerate change ``torch.nn.Module`` for all threads
meanwhile, so that a network built in another thread would lose its weights."""

# What allocators say where they raise no class of their own.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def check_precision(precision: str) -> Precision:
    """Return the precision of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if precision not in get_args(Precision):
        raise no_such_name(f"There is no precision {precision!r}", precision, get_args(Precision))
    found: Precision = precision  # type: ignore[assignment]
    return found


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device; ``auto`` is CUDA where there is one.

    Raises
    ------
    UsageError
        If the name is none of these or the device is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"`device` must be auto, cpu, cuda or cuda:N; got {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"`device` must be auto, cpu, cuda or cuda:N; got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"There is no device {name!r} here: torch sees {torch.cuda.device_count()} CUDA devices.")
    return device


@contextmanager
def exact_arithmetic(device: torch.device, precision: Precision = FULL) -> Iterator[None]:
    """Compute in the stated precision, with deterministic algorithms and no autograd, whatever the caller has set.

    TF32 keeps 10 bits of the factors of a product, so scores would depend on the graphics card. The global switches
    are put back on leaving, so a metric can run inside somebody's training loop.

    With ``bf16`` or ``fp16``, products are of such numbers (torch's autocast) and everything else, front ends included,
    is as before.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(
            torch.autocast(device.type, enabled=False)
            if precision == FULL
            else torch.autocast(device.type, dtype=torch_dtype(precision))
        )
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        )
        stack.enter_context(_full_float32())
        yield


@contextmanager
def _full_float32() -> Iterator[None]:
    """Forbid TF32 and bfloat16 inside float32 products, by the switches this torch has."""
    import torch

    backends = torch.backends
    switches: list[Any] = [backends.cuda.matmul, getattr(backends.cudnn, "conv", None)]
    switches += [getattr(backends.mkldnn, part, None) for part in ("conv", "matmul")]
    switches = [switch for switch in switches if hasattr(switch, "fp32_precision")]
    if not switches:  # torch before 2.9 has one switch for all of them
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    saved = [switch.fp32_precision for switch in switches]
    for switch in switches:
        switch.fp32_precision = "ieee"
    try:
        yield
    finally:
        for switch, precision in zip(switches, saved, strict=True):
            switch.fp32_precision = precision


def torch_dtype(precision: Precision) -> torch.dtype:
    """Return torch's name of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def lower_weights(network: torch.nn.Module, precision: Precision) -> torch.nn.Module:
    """Round the weights of convolutions and linear layers, once and not in every pass; all others stay float32."""
    import torch

    products = (torch.nn.modules.conv._ConvNd, torch.nn.Linear)
    if precision != FULL:
        for module in network.modules():
            if isinstance(module, products):
                module.to(torch_dtype(precision))
    return network


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the device, or the machine, has no memory left."""
    torch = sys.modules.get("torch")  # what has not been imported raises nothing
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def free_memory() -> None:
    """Hand memory that torch keeps for later back to the device."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_fixed_chunks(function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, chunk_n: int) -> torch.Tensor:
    """Apply a row-wise function to chunks of exactly ``chunk_n`` rows, the last one padded with zeros.

    Libraries choose kernels, and with them the order of summation, by the shape of the whole batch: a row that passes
    through the networks alone differs from the same row among four by up to 3e-6 of the largest value (VGGish; C3D
    2e-6, CNN14 8e-7). With one shape only, a row's result depends on nothing but the row: not on the batch it came in,
    its place there, or its neighbours.

    Parameters
    ----------
    function
        Maps (chunk_n, ...) to (chunk_n, ...), each row by itself.
    rows
        Shape (rows, ...), at least one row.
    chunk_n
        Rows per call.

    Returns
    -------
    torch.Tensor, shape (rows, ...)
    """
    import torch

    results = []
    for start in range(0, len(rows), chunk_n):
        chunk = rows[start : start + chunk_n]
        if len(chunk) < chunk_n:
            padded = chunk.new_zeros(chunk_n, *chunk.shape[1:])
            padded[: len(chunk)] = chunk
            results.append(function(padded)[: len(chunk)])
        else:
            results.append(function(chunk))
    return torch.cat(results) if len(results) > 1 else results[0]
