"""Synchformer: segments of 0.64 s of sound or pictures, encoded to be compared for how far they are apart in time.

A clip is cut into segments of 0.64 s that start every 0.32 s: 16 frames at 25 per second, and 10,240 samples at 16 kHz.
Frames are resized to a shorter side of 224 and cropped to the central square; sound becomes log-mel spectrograms. Each
segment is encoded by itself. :meth:`SynchformerExtractor.compare` scores the offset of 14 segments, 4.8 s, of each.

Preprocessing follows av-benchmark, from which DeSync comes. Differences: frames are those on screen in the middle of
each 1/25 s, not what FFmpeg's frame-rate filter picks; they are resized by swscale's bilinear filter, not by a bicubic
one; sound is resampled by soxr, and its mean is left as it is. With how much effect on DeSync is not known: the
published weights could not be run where this was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.models.extractors.base import AudioExtractor, Float32Array, VideoExtractor
from t2av_bench.models.extractors.clip_source import ClipSource
from t2av_bench.models.extractors.frames import centre_crop
from t2av_bench.models.extractors.network import NetworkExtractor

if TYPE_CHECKING:
    import torch

FRAME_RATE_HZ = 25
SEGMENT_FRAMES_N, HOP_FRAMES_N = 16, 8
SEGMENT_SAMPLES_N, HOP_SAMPLES_N = 10_240, 5_120
VIDEO_TOKENS_N, AUDIO_TOKENS_N = 8, 6
COMPARED_N = 14
COMPARED_S = ((COMPARED_N - 1) * HOP_FRAMES_N + SEGMENT_FRAMES_N) / FRAME_RATE_HZ
OFFSETS_S = np.linspace(-2.0, 2.0, 21)
"""Offset of each class in seconds; as trained, above zero where the sound comes *before* the picture."""

_SIDE_PX = 224
_WIDTH = 768
_ROUNDING_S = 1e-6


class SynchformerExtractor(NetworkExtractor):
    """What both sides share: the network, the segments, the comparison.

    Parameters
    ----------
    weights, seed, device, precision, compile
        See :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    version = 1
    unit = "segment"
    weights_name = "synchformer"
    width: ClassVar[int] = _WIDTH
    # Segments of video, segments of sound, comparisons.
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {"cpu": (1, 4, 2), "cuda": (8, 32, 16)}

    def options(self) -> dict[str, Any]:
        """Return the weights; segments and preprocessing are fixed by the version."""
        return self.network_options()

    def rows_n(self, duration_s: float) -> int:
        """Return the number of segments; 0 for a clip of less than 0.64 s."""
        segment_s, hop_s = SEGMENT_FRAMES_N / FRAME_RATE_HZ, HOP_FRAMES_N / FRAME_RATE_HZ
        return max(0, int((duration_s - segment_s + _ROUNDING_S) // hop_s) + 1)

    def build_network(self) -> torch.nn.Module:
        """Return the whole network: the published file holds both encoders and the comparison."""
        from t2av_bench.models.extractors.networks.synchformer import Synchformer

        return Synchformer()

    def compare(self, video: Float32Array, audio: Float32Array) -> Float32Array:
        """Score the offset between encoded segments of pictures and sound.

        Parameters
        ----------
        video : shape (rows, 14, 8 × 768)
            As the extractor ``synchformer-video`` gives them.
        audio : shape (rows, 14, 6 × 768)
            As the extractor ``synchformer-audio`` gives them.

        Returns
        -------
        numpy.ndarray, shape (rows, 21), float32
            Logits of the offsets :data:`OFFSETS_S`.

        Raises
        ------
        MetricError
            If shapes do not fit.
        """
        wanted = [(len(video), COMPARED_N, tokens_n * self.width) for tokens_n in (VIDEO_TOKENS_N, AUDIO_TOKENS_N)]
        if [video.shape, audio.shape] != wanted:
            raise MetricError(
                f"synchformer compares arrays of the shapes {wanted[0]} and {wanted[1]};"
                f" got {video.shape} and {audio.shape}"
            )
        import torch

        network, device = self._ready()
        both = np.concatenate([video, audio], axis=2)

        def offsets(rows: torch.Tensor) -> torch.Tensor:
            tokens = rows.reshape(len(rows), COMPARED_N, VIDEO_TOKENS_N + AUDIO_TOKENS_N, self.width)
            logits: torch.Tensor = network.compare(  # type: ignore[operator, unused-ignore]
                tokens[:, :, :VIDEO_TOKENS_N], tokens[:, :, VIDEO_TOKENS_N:]
            )
            return logits

        with self.arithmetic(device):
            logits = self.in_chunks(offsets, torch.from_numpy(both).to(device), 2)
            return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)


class SynchformerVideoExtractor(SynchformerExtractor, VideoExtractor):
    """Encoded segments of pictures, 8 × 768 numbers each.

    Rows are the cropped frames of a segment, shape (16, 224, 224, 3) uint8, RGB.
    """

    name = "synchformer-video"
    part = "synchformer_video"
    dim = VIDEO_TOKENS_N * _WIDTH
    row_shape = (SEGMENT_FRAMES_N, _SIDE_PX, _SIDE_PX, 3)
    row_dtype = np.uint8
    frame_size = (_SIDE_PX, _SIDE_PX)

    def frame_times_s(self, duration_s: float) -> npt.NDArray[np.float64]:
        """Return the times of the frames of each segment, shape (segments, 16)."""
        starts = np.arange(self.rows_n(duration_s))[:, None] * HOP_FRAMES_N
        return (starts + np.arange(SEGMENT_FRAMES_N) + 0.5) / FRAME_RATE_HZ

    def size_of(self, source: ClipSource) -> tuple[int, int]:
        """Return the picture's size with its shorter side at 224 pixels."""
        info = source.info()
        height, width = info.video_height or 1, info.video_width or 1
        scale = self.frame_size[0] / min(height, width)
        return int(height * scale + _ROUNDING_S), int(width * scale + _ROUNDING_S)

    def load(self, source: ClipSource) -> npt.NDArray[Any]:
        """Read the frames; of a clip without a segment none."""
        return super().load(source) if self.rows_n(source.duration_s) else np.zeros((0, *self.row_shape), np.uint8)

    def windows(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Crop frames (segments, 16, height, width, 3) to the central square."""
        return centre_crop(frames, self.frame_size[0])

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map frames (rows, 16, side, side, 3) to (rows, 8 × 768)."""

        def encode(chunk: torch.Tensor) -> torch.Tensor:
            frames = chunk.permute(0, 4, 1, 2, 3).float().div(127.5).sub(1.0)
            return encode_video(frames).flatten(1)

        encode_video = self.compiled(network.encode_video)
        return self.in_chunks(encode, rows, 0)


class SynchformerAudioExtractor(SynchformerExtractor, AudioExtractor):
    """Encoded segments of sound, 6 × 768 numbers each.

    Rows are the samples of a segment, shape (10240,) float32 at 16 kHz.
    """

    name = "synchformer-audio"
    part = "synchformer_audio"
    dim = AUDIO_TOKENS_N * _WIDTH
    row_shape = (SEGMENT_SAMPLES_N,)

    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Cut the clip's samples into segments, shape (segments, 10240)."""
        rows_n = self.rows_n(duration_s)
        wanted_n = (rows_n - 1) * HOP_SAMPLES_N + SEGMENT_SAMPLES_N
        padded = np.pad(np.asarray(samples, np.float32), (0, max(0, wanted_n - len(samples))))
        starts = np.arange(rows_n)[:, None] * HOP_SAMPLES_N
        return np.asarray(padded[starts + np.arange(SEGMENT_SAMPLES_N)])

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map samples (rows, 10240) to (rows, 6 × 768)."""
        from t2av_bench.models.extractors.mel import synchformer_log_mel

        def encode(chunk: torch.Tensor) -> torch.Tensor:
            return encode_audio(synchformer_log_mel(chunk)).flatten(1)

        encode_audio = self.compiled(network.encode_audio)
        return self.in_chunks(encode, rows, 1)
