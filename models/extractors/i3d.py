"""I3D ResNet-50 of pytorchvideo: 2048-d embeddings of 0.96 s of pictures, an alternative to C3D.

Per window 8 frames spread evenly over its 0.96 s, short side resized to 224, central 224 x 224, scaled to 0-1, minus
0.45, over 0.225. The embedding is the mean over time and space of the last block's features.

Differences from pytorchvideo, by choice: its model was trained and is evaluated on 8 frames 8 apart (2.1 s at 30 frames
per second); here the same 8 frames lie in 0.96 s, so that windows pair with VGGish's, which makes motion look about
half as fast to the network. Its evaluation crops 256 x 256 pixels and averages 30 views.

References
----------
.. [1] Carreira and Zisserman, Quo vadis, action recognition?, CVPR 2017, arXiv:1705.07750.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MediaError
from t2av_bench.models.extractors.base import VideoExtractor
from t2av_bench.models.extractors.clip_source import ClipSource
from t2av_bench.models.extractors.frames import centre_crop, spread_times_s
from t2av_bench.models.extractors.network import NetworkExtractor

if TYPE_CHECKING:
    import torch

FRAMES_N = 8
SIDE_PX = 224
_MEAN, _DEVIATION = 0.45, 0.225


class I3DExtractor(NetworkExtractor, VideoExtractor):
    """I3D embeddings, one per window.

    Rows are cropped frames, shape (8, 224, 224, 3) uint8, RGB.

    Parameters
    ----------
    hop_s
        Distance between window starts in seconds.
    weights, seed, device, precision, compile
        See :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    name = "i3d"
    version = 1
    unit = "window"
    dim = 2048
    weights_name = "i3d"
    load_key = "model_state"
    row_shape = (FRAMES_N, SIDE_PX, SIDE_PX, 3)
    row_dtype = np.uint8
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {"cpu": (1,), "cuda": (16,)}
    frame_size = (SIDE_PX, SIDE_PX)  # of a square source; others keep their aspect: see size_of

    def frame_times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """Return the times of 8 frames per window; see :func:`spread_times_s`."""
        return spread_times_s(duration_s, FRAMES_N, self.hop_s)

    def windows(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Crop frames (windows, 8, height, width, 3) to the central (windows, 8, 224, 224, 3)."""
        return centre_crop(frames, SIDE_PX)

    def size_of(self, source: ClipSource) -> tuple[int, int]:
        """Return the picture's size with its short side at 224 pixels."""
        info = source.info()
        if not info.video_width or not info.video_height:
            raise MediaError(source.path, "holds no pictures")
        scale = SIDE_PX / min(info.video_height, info.video_width)
        return round(info.video_height * scale), round(info.video_width * scale)

    def build_network(self) -> torch.nn.Module:
        """Return pytorchvideo's network."""
        from t2av_bench.models.extractors.networks import i3d

        return i3d.build()

    def arrange(self, network: torch.nn.Module) -> torch.nn.Module:
        """Put the convolutions' channels last in memory on a GPU, whose tensor cores want them so."""
        return network.to(memory_format=_layout(next(network.parameters()).device))

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map frames (rows, 8, 224, 224, 3), uint8, to embeddings (rows, 2048)."""
        from t2av_bench.models.extractors.networks import i3d

        def embed(chunk: torch.Tensor) -> torch.Tensor:
            frames = (chunk.float() / 255 - _MEAN) / _DEVIATION
            return pooled(network, frames.permute(0, 4, 1, 2, 3).contiguous(memory_format=_layout(chunk.device)))

        pooled = self.compiled(i3d.pooled)
        return self.in_chunks(embed, rows, 0)


def _layout(device: torch.device) -> torch.memory_format:
    """Return where channels lie in memory: last on a GPU; first on a CPU, where that is as fast and always was so."""
    import torch

    return torch.contiguous_format if device.type == "cpu" else torch.channels_last_3d
