"""PANNs CNN14 at 16 kHz: one 2048-d embedding or 527 AudioSet logits per clip.

The whole clip is one input, as in the network's own training; rows of a batch must have one length. Against the
original's code, with equal weights and waveforms, embeddings and logits, near 0.05, agree within 6e-8
(``tests/models/test_panns.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError, PrerequisiteError
from t2av_bench.media.front_end import OURS, AudioFrontEnd, find_front_end
from t2av_bench.models.extractors.base import AudioExtractor, Extractor, Float32Array
from t2av_bench.models.extractors.mel import HOP_N, panns_log_mel
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.models.extractors.windows import GRID_SR_HZ

if TYPE_CHECKING:
    import torch

_CLASSES_N = 527
# Five poolings by two leave one of 32 frames; frame 32 starts with sample 31 * 160.
_SHORTEST_N = 31 * HOP_N


class PannsExtractor(NetworkExtractor, AudioExtractor):
    """CNN14-16k embeddings, one per clip.

    Rows are whole clips, shape (samples,) float32 at 16 kHz, at least 0.31 s.

    Parameters
    ----------
    front_end
        How a clip's sound is read: a name from :data:`t2av_bench.media.FRONT_ENDS`, or a record of one's own.
    **options
        ``weights``, ``seed``, ``device``, ``precision`` and ``compile``: see
        :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    name = "panns"
    version = 1
    unit = "clip"
    dim = 2048
    weights_name = "panns"
    load_key = "model"
    row_shape = (None,)
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "cpu": (2, 16),
        "cuda": (16, 32),
    }  # convolutions, linear layers

    def __init__(self, *, front_end: str | AudioFrontEnd = OURS, **options: Any) -> None:
        super().__init__(**options)
        self.front_end = find_front_end(front_end)

    def options(self) -> dict[str, Any]:
        """Return the weights, and the front end if it is not our protocol's."""
        return {**super().options(), **self.front_end_option()}

    def check(self) -> None:
        """Find and verify weights, device and resampler; see the base class."""
        super().check()
        self.front_end.check()

    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Return the clip as the only row, shape (1, samples)."""
        return np.asarray(samples, np.float32)[None]

    def build_network(self) -> torch.nn.Module:
        """Return CNN14."""
        from t2av_bench.models.extractors.networks.cnn14 import Cnn14

        return Cnn14()

    def arrange(self, network: Any) -> torch.nn.Module:
        """Refuse a file that was trained on another spectrogram of the same size."""
        if not self.weights.is_random and not network.stores_our_front_end():
            raise PrerequisiteError(
                f"{self.weights.path} was trained with another mel filter bank than 64 Slaney bands from 50 to 8000 Hz "
                "at 16 kHz; this extractor needs PANNs' Cnn14_16k."
            )
        return network  # type: ignore[no-any-return]

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map waveforms (rows, samples) to embeddings (rows, 2048)."""
        pool, embed = self.compiled(network.pool), self.compiled(network.embed)
        pooled = self.in_chunks(lambda chunk: pool(panns_log_mel(chunk)), rows, 0)
        return self.in_chunks(embed, pooled, 1)

    @property
    def pass_key(self) -> str:
        """Embeddings and logits come out of one pass."""
        return f"cnn14 on {self.device}: {json.dumps(self.options(), sort_keys=True)}"

    def forward_all(self, network: Any, rows: torch.Tensor, wanted: Sequence[Extractor]) -> list[torch.Tensor]:
        """Map waveforms to embeddings, logits, or both."""
        embeddings = PannsExtractor.forward(self, network, rows)
        return [
            self._logits(network, embeddings) if isinstance(extractor, PannsLogitsExtractor) else embeddings
            for extractor in wanted
        ]

    def embed_and_classify(self, inputs: npt.NDArray[Any]) -> tuple[Float32Array, Float32Array]:
        """Embed a batch and classify it in one go.

        Parameters
        ----------
        inputs
            Shape (rows, samples), float32, 16 kHz.

        Returns
        -------
        embeddings : numpy.ndarray, shape (rows, 2048), float32
            As :meth:`embed_batch`.
        logits : numpy.ndarray, shape (rows, 527), float32
            Before the sigmoid, in AudioSet's order of classes; inception score and KL divergence are computed from
            these.
        """
        embeddings, logits = self.start(inputs, [self, PannsLogitsExtractor()])()
        return embeddings, logits

    def _logits(self, network: Any, embeddings: torch.Tensor) -> torch.Tensor:
        return self.in_chunks(self.compiled(network.classify), embeddings, 1)

    def _check_rows(self, inputs: npt.NDArray[Any]) -> None:
        super()._check_rows(inputs)
        if inputs.shape[1] < _SHORTEST_N:
            raise MetricError(
                f"panns needs clips of at least {_SHORTEST_N / GRID_SR_HZ:.2f} s; "
                f"got {inputs.shape[1] / GRID_SR_HZ:.3f} s."
            )


class PannsLogitsExtractor(PannsExtractor):
    """The 527 AudioSet logits of CNN14-16k, before the sigmoid, one row per clip.

    The part ``logits`` of inception score and class divergences. Weights, rows and network as of
    :class:`PannsExtractor`.
    """

    name = "panns-logits"
    part = "logits"
    dim = _CLASSES_N

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map waveforms (rows, samples) to logits (rows, 527)."""
        return self._logits(network, super().forward(network, rows))
