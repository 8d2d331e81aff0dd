"""PANNs' CNN14 for 16 kHz, with the tensor names of the published file."""

from __future__ import annotations

import torch
from torch import nn

from t2av_bench.models.extractors.mel import BANDS_N, panns_log_mel, panns_matrix

CLASSES_N = 527
EMBEDDING_N = 2048
_FFT_N = 512
_WIDTHS = (1, 64, 128, 256, 512, 1024, 2048)


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inputs_n: int, outputs_n: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs_n, outputs_n, kernel_size=3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs_n, outputs_n, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs_n)
        self.bn2 = nn.BatchNorm2d(outputs_n)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (rows, inputs, frames, bands) to (rows, outputs, frames, bands)."""
        maps = self.bn1(self.conv1(maps)).relu_()
        outputs: torch.Tensor = self.bn2(self.conv2(maps)).relu_()
        return outputs


class Cnn14(nn.Module):
    """CNN14 on 64-band decibel spectrograms; 84 entries in the state dict.

    The published file also stores its front end: the Fourier basis as convolution kernels and the mel matrix. They are
    kept, under their names, as entries that nothing reads: :func:`~t2av_bench.models.extractors.mel.panns_log_mel`
    computes the same spectrogram. ``stores_our_front_end`` tells whether a loaded file means that spectrogram.

    References
    ----------
    .. [1] Kong et al., PANNs: large-scale pretrained audio neural networks for audio pattern recognition, TASLP 2020,
       arXiv:1912.10211.
    """

    def __init__(self) -> None:
        super().__init__()
        bins_n = _FFT_N // 2 + 1
        self.spectrogram_extractor = nn.Module()
        self.spectrogram_extractor.stft = nn.Module()
        for part in ("conv_real", "conv_imag"):
            kernels = nn.Module()
            kernels.register_buffer("weight", torch.empty(bins_n, 1, _FFT_N))
            self.spectrogram_extractor.stft.add_module(part, kernels)
        self.logmel_extractor = nn.Module()
        self.logmel_extractor.register_buffer("melW", torch.empty(bins_n, BANDS_N))
        self.bn0 = nn.BatchNorm2d(BANDS_N)
        for number, (inputs_n, outputs_n) in enumerate(zip(_WIDTHS, _WIDTHS[1:], strict=False), start=1):
            self.add_module(f"conv_block{number}", ConvBlock(inputs_n, outputs_n))
        self.fc1 = nn.Linear(EMBEDDING_N, EMBEDDING_N)
        self.fc_audioset = nn.Linear(EMBEDDING_N, CLASSES_N)

    def pooled(self, samples: torch.Tensor) -> torch.Tensor:
        """Map waveforms (rows, samples) at 16 kHz to the last block's maps pooled over time, (rows, 2048)."""
        return self.pool(panns_log_mel(samples))

    def pool(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Map log-mel spectrograms (rows, frames, bands) to the last block's maps pooled over time, (rows, 2048)."""
        # (rows, 1, frames, bands)
        maps = self.bn0(log_mel[:, None].transpose(1, 3)).transpose(1, 3)
        maps = maps.contiguous(memory_format=torch.channels_last)
        for number in range(1, len(_WIDTHS)):
            maps = self.get_submodule(f"conv_block{number}")(maps)
            if number < len(_WIDTHS) - 1:
                maps = nn.functional.avg_pool2d(maps, 2)
        by_time: torch.Tensor = maps.mean(dim=3)
        return by_time.amax(dim=2) + by_time.mean(dim=2)

    def embed(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled maps (rows, 2048) to embeddings (rows, 2048), not negative."""
        embeddings: torch.Tensor = self.fc1(pooled).relu()
        return embeddings

    def classify(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Map embeddings (rows, 2048) to AudioSet logits (rows, 527), before the sigmoid."""
        logits: torch.Tensor = self.fc_audioset(embeddings)
        return logits

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Map waveforms (rows, samples) at 16 kHz to embeddings (rows, 2048)."""
        return self.embed(self.pooled(samples))

    def stores_our_front_end(self) -> bool:
        """Tell whether the loaded file's own mel matrix is the one used here."""
        stored = self.get_buffer("logmel_extractor.melW")
        return bool(torch.allclose(stored.double(), torch.from_numpy(panns_matrix()), rtol=0, atol=1e-6))
