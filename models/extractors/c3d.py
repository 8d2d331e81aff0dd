"""C3D: 4096-d embeddings of 0.96 s of pictures, the windows paired with VGGish's.

Per window 16 frames spread evenly over its 0.96 s (16.67 per second), resized to 128 x 171 and cropped to the central
112 x 112, minus the channel means, through OpenMMLab's Sports-1M network to fc6 after ReLU. With equal weights and
inputs the network agrees with mmaction2's within 2e-6 of the largest value (``tests/models/test_c3d.py``).

Differences from other implementations, by choice: mmaction2 and Facebook's Caffe code take 16 *consecutive* frames,
0.64 s at 25 frames per second, which would neither cover the window nor be independent of the frame rate. Facebook
subtracts a mean image (16 x 128 x 171 pixels) from BGR frames; OpenMMLab publishes channel means, for RGB, in numbers
that look like BGR's. Which order its conversion really expects is not known, so order and means are options and part
of the fingerprint.

References
----------
.. [1] Tran et al., Learning spatiotemporal features with 3D convolutional networks, ICCV 2015, arXiv:1412.0767.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import UsageError
from t2av_bench.models.extractors.base import VideoExtractor
from t2av_bench.models.extractors.frames import centre_crop, spread_times_s
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.models.extractors.windows import WINDOW_S

if TYPE_CHECKING:
    import torch

Layer = Literal["fc6", "fc7"]
ChannelOrder = Literal["rgb", "bgr"]

FRAMES_N = 16
CROP_PX = 112
MEANS = (104.0, 117.0, 128.0)


class C3DExtractor(NetworkExtractor, VideoExtractor):
    """C3D embeddings, one per window.

    Rows are cropped frames, shape (16, 112, 112, 3) uint8, RGB; means and conversion to float32 happen on the device.

    Parameters
    ----------
    layer
        ``"fc6"`` or ``"fc7"``, after ReLU.
    channel_order
        Order in which the network gets the channels, ``"rgb"`` or ``"bgr"``.
    channel_means
        What is subtracted from the 0-255 values of the first, second and third channel, after ordering.
    hop_s
        Distance between window starts in seconds.
    **network
        ``weights``, ``seed``, ``device``, ``precision`` and ``compile``: see
        :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    name = "c3d"
    version = 1
    unit = "window"
    dim = 4096
    weights_name = "c3d"
    row_shape = (FRAMES_N, CROP_PX, CROP_PX, 3)
    row_dtype = np.uint8
    frame_size = (128, 171)
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "cpu": (2, 16),
        "cuda": (16, 32),
    }  # convolutions, linear layers

    def __init__(
        self,
        *,
        layer: Layer = "fc6",
        channel_order: ChannelOrder = "rgb",
        channel_means: Sequence[float] = MEANS,
        hop_s: float = WINDOW_S,
        **network: Any,
    ) -> None:
        super().__init__(hop_s=hop_s, **network)
        if layer not in get_args(Layer):
            raise UsageError(f"`layer` must be one of {', '.join(get_args(Layer))}; got {layer!r}.")
        if channel_order not in get_args(ChannelOrder):
            raise UsageError(f"`channel_order` must be rgb or bgr; got {channel_order!r}.")
        if len(channel_means) != 3:
            raise UsageError(f"`channel_means` must be three numbers; got {channel_means!r}.")
        self.layer = layer
        self.channel_order = channel_order
        self.channel_means = tuple(float(mean) for mean in channel_means)

    def options(self) -> dict[str, Any]:
        """Return weights, layer, channel order and means, and hop."""
        return {
            **super().options(),
            "layer": self.layer,
            "channel_order": self.channel_order,
            "channel_means": list(self.channel_means),
        }

    def frame_times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """Return the times of 16 frames per window; see :func:`spread_times_s`."""
        return spread_times_s(duration_s, FRAMES_N, self.hop_s)

    def windows(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Crop frames (windows, 16, 128, 171, 3) to the central (windows, 16, 112, 112, 3)."""
        return centre_crop(frames, CROP_PX)

    def build_network(self) -> torch.nn.Module:
        """Return C3D."""
        from t2av_bench.models.extractors.networks.c3d import C3D

        return C3D()

    def arrange(self, network: torch.nn.Module) -> torch.nn.Module:
        """Put the convolutions' channels last in memory: a fifth faster on CPU."""
        import torch

        return network.to(memory_format=torch.channels_last_3d)

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map frames (rows, 16, 112, 112, 3), uint8, to embeddings (rows, 4096)."""
        import torch

        means = torch.tensor(self.channel_means, device=rows.device)

        def convolve(chunk: torch.Tensor) -> torch.Tensor:
            ordered = chunk if self.channel_order == "rgb" else chunk.flip(-1)
            # (rows, 3, 16, 112, 112) with channels last in memory
            return through_convolutions((ordered.float() - means).permute(0, 4, 1, 2, 3))

        through_convolutions, project = self.compiled(network.convolve), self.compiled(network.project)
        features = self.in_chunks(convolve, rows, 0)
        return self.in_chunks(lambda chunk: project(chunk, self.layer), features, 1)
