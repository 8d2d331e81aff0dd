"""VGGish: 128-d embeddings of 0.96 s of sound.

Defaults follow current practice for FAD: the output *before* the final ReLU, no PCA, no quantisation, windows without
overlap. Differences from other implementations, by choice:

===========================  ==================================================================================
implementation               options here
===========================  ==================================================================================
torchvggish 0.2 (default)    relu=True, pca=True, front_end="frechet_audio_distance"
audioldm_eval                front_end="audioldm_eval"
frechet_audio_distance       front_end="frechet_audio_distance"
fadtk                        front_end="fadtk" (and they store float16: :mod:`t2av_bench.metrics.conventions`)
av-benchmark                 front_end="av-benchmark"
Google's frechet_audio       front_end="google-fad", hop_s=0.5, least_n=16000
===========================  ==================================================================================

From identical waveforms the log-mel examples are torchvggish's rounded to float32 (largest difference on the recorded
clips: 0), and the embeddings, of which the largest is 0.07, agree within 1.2e-7 (``tests/models/test_vggish.py``).

References
----------
.. [1] Hershey et al., CNN architectures for large-scale audio classification, ICASSP 2017, arXiv:1609.09430.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import PrerequisiteError, UsageError
from t2av_bench.media.front_end import OURS, AudioFrontEnd, find_front_end
from t2av_bench.models.extractors.base import AudioExtractor, Float32Array
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.chosen_weights import PUBLISHED, ChosenWeights
from t2av_bench.models.extractors.mel import vggish_log_mel
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.models.extractors.weights import load_checkpoint
from t2av_bench.models.extractors.windows import GRID_SR_HZ, WINDOW_S, WINDOW_SAMPLES_N, window_starts_s

if TYPE_CHECKING:
    import torch


class VGGishExtractor(NetworkExtractor, AudioExtractor):
    """VGGish embeddings, one per window.

    Rows are raw 16 kHz windows, shape (15600,) float32; the log-mel front end runs on the device.

    Parameters
    ----------
    hop_s
        Distance between window starts in seconds, a multiple of 1/16000: 0.96 without overlap, 0.5 as Google's FAD.
    relu
        Keep the final ReLU.
    pca
        Post-process as torchvggish does: PCA with whitening, clipping, 256 levels. ``True`` for the published
        parameters, or the path of a file in their layout. TensorFlow's original truncates where torchvggish rounds, so
        its values are up to one level lower.
    front_end
        How a clip's sound is read: a name from :data:`t2av_bench.media.FRONT_ENDS`, or a record of one's own.
    least_n
        Samples that must be left for a window to start: 15,600 as torchvggish, 16,000 as Google's FAD (a clip of
        1.975 s has 3 windows of hop 0.5 s by the one and 2 by the other).
    **network
        ``weights``, ``seed``, ``device``, ``precision`` and ``compile``: see
        :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    name = "vggish"
    version = 1
    unit = "window"
    dim = 128
    weights_name = "vggish"
    row_shape = (WINDOW_SAMPLES_N,)
    # Convolutions, linear layers. The linear layers read 270 MB of weights per pass, so they want many rows; the
    # convolutions want maps that stay in the processor's cache.
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {"cpu": (16, 32), "cuda": (128, 128)}

    def __init__(
        self,
        *,
        hop_s: float = WINDOW_S,
        relu: bool = False,
        pca: bool | str | Path = False,
        front_end: str | AudioFrontEnd = OURS,
        least_n: int = WINDOW_SAMPLES_N,
        **network: Any,
    ) -> None:
        super().__init__(hop_s=hop_s, **network)
        if not isinstance(least_n, int) or least_n < WINDOW_SAMPLES_N:
            raise UsageError(f"`least_n` must be a whole number, at least {WINDOW_SAMPLES_N}; got {least_n!r}.")
        self.relu = bool(relu)
        self.front_end = find_front_end(front_end)
        self.least_n = least_n
        self.pca = None if pca is False else ChosenWeights(WEIGHTS["vggish-pca"], PUBLISHED if pca is True else pca, 0)
        if self.pca is not None and self.pca.is_random:
            raise UsageError("`pca` must be True, False or the path of a file: random PCA parameters make no sense.")
        self._pca_arrays: tuple[Float32Array, Float32Array] | None = None

    def options(self) -> dict[str, Any]:
        """Return weights, hop, activation, the SHA-256 of the PCA parameters or None, and what is not ours."""
        pca_sha256 = None if self.pca is None else self.pca.sha256
        least_n = {} if self.least_n == WINDOW_SAMPLES_N else {"least_n": self.least_n}
        options = {**super().options(), "relu": self.relu, "pca_sha256": pca_sha256}
        return {**options, **least_n, **self.front_end_option()}

    @property
    def not_comparable(self) -> str:
        """Why embeddings must not be put on a leaderboard; empty with verified published weights and no PCA."""
        pca = "" if self.pca is None else self.pca.not_comparable
        return "; ".join(filter(None, [super().not_comparable, pca]))

    def rows_n(self, duration_s: float) -> int:
        """Return how many windows a clip of this nominal duration has."""
        return len(window_starts_s(self.front_end.length_s(duration_s), self.hop_s, self.least_n))

    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Cut samples into windows, shape (windows, 15600), at the times of :func:`window_starts_s`."""
        starts_n = np.rint(window_starts_s(duration_s, self.hop_s, self.least_n) * GRID_SR_HZ).astype(np.int64)
        samples = np.asarray(samples, np.float32)
        if len(starts_n) == 0:
            return np.zeros((0, WINDOW_SAMPLES_N), np.float32)
        return np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES_N)[starts_n]

    def build_network(self) -> torch.nn.Module:
        """Return torchvggish's network."""
        from t2av_bench.models.extractors.networks import vggish

        return vggish.build()

    def arrange(self, network: torch.nn.Module) -> torch.nn.Module:
        """Put the convolutions' channels last in memory: a third faster on CPU."""
        import torch

        return network.to(memory_format=torch.channels_last)

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map windows (rows, 15600) to embeddings (rows, 128)."""
        from t2av_bench.models.extractors.networks import vggish

        convolve, through_linear = self.compiled(vggish.convolve), self.compiled(vggish.project)
        features = self.in_chunks(lambda chunk: convolve(network, vggish_log_mel(chunk)), rows, 0)

        def project(chunk: torch.Tensor) -> torch.Tensor:
            embeddings = through_linear(network, chunk, relu=self.relu)
            return embeddings if self.pca is None else vggish.whiten(embeddings, *self._pca_tensors(chunk.device))

        return self.in_chunks(project, features, 1)

    def check(self) -> None:
        """Find and verify weights, PCA parameters, device and resampler; see the base class."""
        super().check()
        self.front_end.check()
        if self.pca is not None:
            self.pca.check()

    def _pca_tensors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        eigen_vectors, means = (torch.from_numpy(array).to(device) for array in self._pca_parameters())
        return eigen_vectors, means

    def _pca_parameters(self) -> tuple[Float32Array, ...]:
        """Return the eigen vectors (128, 128), one per row, and the means (128,); nothing without PCA."""
        if self._pca_arrays is None and self.pca is not None:
            path = self.pca.path
            content = load_checkpoint(path)
            try:
                vectors, means = (np.array(content[f"pca_{part}"], np.float32) for part in ("eigen_vectors", "means"))
                self._pca_arrays = (vectors.reshape(self.dim, self.dim), means.reshape(self.dim))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise PrerequisiteError(
                    f"{path} must hold `pca_eigen_vectors` (128, 128) and `pca_means` (128): {error}."
                ) from error
        return self._pca_arrays or ()
