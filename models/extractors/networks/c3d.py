"""C3D with the tensor names of OpenMMLab's Sports-1M file; pytorchvideo has no C3D."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

Layer = Literal["fc6", "fc7"]

_STAGES: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("conv1a", 3, 64),),
    (("conv2a", 64, 128),),
    (("conv3a", 128, 256), ("conv3b", 256, 256)),
    (("conv4a", 256, 512), ("conv4b", 512, 512)),
    (("conv5a", 512, 512), ("conv5b", 512, 512)),
)


class C3D(nn.Module):
    """Eight 3 x 3 x 3 convolutions with ReLU, five max-poolings and two linear layers; 78.0 million parameters.

    References
    ----------
    .. [1] Tran et al., Learning spatiotemporal features with 3D convolutional networks, ICCV 2015, arXiv:1412.0767.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleList()
        for number, stage in enumerate(_STAGES, start=1):
            for name, inputs_n, outputs_n in stage:
                # One level deeper than needed: the file's names read "conv1a.conv.weight".
                convolution = nn.Conv3d(inputs_n, outputs_n, kernel_size=3, padding=1)
                self.add_module(name, nn.Sequential(OrderedDict(conv=convolution, relu=nn.ReLU(inplace=True))))
            kernel = (1, 2, 2) if number == 1 else (2, 2, 2)
            self.pools.append(nn.MaxPool3d(kernel, stride=kernel, padding=(0, 1, 1) if number == 5 else 0))
        self.fc6 = nn.Linear(512 * 4 * 4, 4096)
        self.fc7 = nn.Linear(4096, 4096)

    def convolve(self, frames: torch.Tensor) -> torch.Tensor:
        """Map frames (rows, 3, 16, 112, 112) to pooled features (rows, 8192)."""
        maps = frames
        for stage, pool in zip(_STAGES, self.pools, strict=True):
            for name, _, _ in stage:
                maps = self.get_submodule(name)(maps)
            maps = pool(maps)
        return maps.flatten(1)  # (rows, 512, 1, 4, 4), channel slowest

    def project(self, features: torch.Tensor, layer: Layer = "fc6", *, relu: bool = True) -> torch.Tensor:
        """Map pooled features (rows, 8192) to a linear layer's output (rows, 4096); dropout plays no part."""
        outputs: torch.Tensor = self.fc6(features)
        if layer == "fc7":
            outputs = self.fc7(outputs.relu())
        return outputs.relu() if relu else outputs

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Map frames (rows, 3, 16, 112, 112) to fc6 after ReLU (rows, 4096)."""
        return self.project(self.convolve(frames))
