"""Rows on their way to the device, and embeddings on their way back.

On a GPU both go through pinned memory on streams of their own and nothing waits: while the device computes one batch,
the next one is copied there, and the caller gets a third ready. On a CPU there is no way to go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Float32Array = npt.NDArray[np.float32]


class Staging:
    """The way to one device.

    Parameters
    ----------
    device
        A CPU or a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._copying: Any = None
        if device.type == "cuda":
            import torch

            streams: Any = torch.cuda  # untyped
            self._copying = streams.Stream(device)

    def send(self, inputs: npt.NDArray[Any]) -> torch.Tensor:
        """Return rows on the device; kernels launched from now on wait for them, the caller does not."""
        import torch

        # A copy where needed: torch cannot wrap read-only memory.
        rows = torch.from_numpy(np.require(inputs, requirements=("C", "W")))
        if self._copying is None:
            return rows
        with torch.cuda.stream(self._copying):
            there = rows.pin_memory().to(self.device, non_blocking=True)
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self._copying)
        there.record_stream(computing)
        return there

    def fetch(self, outputs: Sequence[torch.Tensor]) -> Callable[[], list[Float32Array]]:
        """Begin to copy embeddings to the host as float32; what is returned waits for them."""
        import torch

        if self._copying is None:
            arrays = [found.float().numpy() for found in outputs]
            return lambda: arrays
        here = [torch.empty(found.shape, dtype=torch.float32, pin_memory=True) for found in outputs]
        for host, found in zip(here, outputs, strict=True):
            host.copy_(found.float(), non_blocking=True)
        events: Any = torch.cuda  # untyped
        copied = events.Event()
        copied.record(torch.cuda.current_stream(self.device))

        def finish() -> list[Float32Array]:
            copied.synchronize()
            return [host.numpy() for host in here]

        return finish
