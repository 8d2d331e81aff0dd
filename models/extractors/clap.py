"""CLAP: sounds and captions in one space, 512-d each, with transformers' ``ClapModel``.

The published model is LAION's CLAP HTSAT, unfused, as a folder in the layout of transformers. A clip gives one
embedding of its sound, of the first 10 s: what is shorter is repeated up to there by the model's own preprocessing. For
longer sounds that preprocessing draws 10 s at random; here nothing is drawn, so a clip has one embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import PrerequisiteError
from t2av_bench.models.extractors.base import AudioExtractor, Extractor, Finish, Float32Array, TextExtractor
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.chosen_weights import PUBLISHED, RANDOM, ChosenWeights
from t2av_bench.models.extractors.drawn import draw_state_dict
from t2av_bench.models.extractors.network import NetworkExtractor
from t2av_bench.models.extractors.weights import file_sha256, find_weights

if TYPE_CHECKING:
    import torch

SR_HZ = 48_000
LONGEST_S = 10
_GROUP = "clap"
_MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")


class ChosenFolder(ChosenWeights):
    """A user's choice of CLAP: published, random, or a folder in the published layout."""

    def __init__(self, choice: str | Path, seed: int) -> None:
        super().__init__(WEIGHTS[f"{_GROUP}/model"], PUBLISHED, seed)
        self.choice = str(choice)
        self.published = [entry for name, entry in WEIGHTS.items() if name.partition("/")[0] == _GROUP]
        if self.is_file:
            folder = Path(self.choice)
            lacking = [name for name in _NEEDED if not (folder / name).is_file()]
            if not any((folder / name).is_file() for name in _MODEL_FILES):
                lacking.append(" or ".join(_MODEL_FILES))
            if lacking:
                raise PrerequisiteError(
                    f"`weights` must be {PUBLISHED!r}, {RANDOM!r} or a folder in the layout of transformers; "
                    f"{self.choice!r} lacks {', '.join(lacking)}."
                )

    @property
    def path(self) -> Path:
        """The folder to read; every published file is verified first."""
        if self.is_file:
            return Path(self.choice)
        return [find_weights(entry) for entry in self.published][0].parent

    @property
    def sha256(self) -> str | None:
        """SHA-256 over the names and hashes of the folder's files, None for random weights."""
        if self.is_random:
            return None
        if self._sha256 is None:
            if self.is_file:
                files = sorted(path for path in Path(self.choice).iterdir() if path.is_file())
                hashes = {path.name: file_sha256(path) for path in files}
            else:
                hashes = {entry.path.name: str(entry.sha256) for entry in self.published}
            lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(hashes.items()))
            self._sha256 = hashlib.sha256(lines.encode()).hexdigest()
        return self._sha256

    @property
    def not_comparable(self) -> str:
        """Why results are nobody else's; empty with the verified published files."""
        if self.is_random:
            return f"the CLAP weights are random (seed {self.seed})"
        return f"the CLAP weights are the user's own folder {Path(self.choice).name}" if self.is_file else ""


class _ClapExtractor(NetworkExtractor):
    """What both sides of CLAP share: the choice of a folder, and the model in it."""

    unit = "clip"
    dim = 512
    weights_name = f"{_GROUP}/model"

    def __init__(self, *, weights: str | Path = PUBLISHED, seed: int = 0, **network: Any) -> None:
        super().__init__(seed=seed, **network)
        self.weights: ChosenFolder = ChosenFolder(weights, seed)
        self._preprocessor: Any = None

    def build_network(self) -> torch.nn.Module:
        """Return the model with its weights; unlike other networks not on torch's meta device.

        Raises
        ------
        PrerequisiteError
            If the folder cannot be read, holds another model, or lacks weights of it.
        """
        from transformers import ClapConfig, ClapModel

        if self.weights.is_random:
            network: torch.nn.Module = ClapModel(ClapConfig())
            drawn = draw_state_dict(network, self.weights.seed)
            # Buffers are tables of positions and no weights.
            network.load_state_dict({name: drawn[name] for name, _ in network.named_parameters()}, strict=False)
            return network
        path = self.weights.path
        try:
            loader: Any = ClapModel
            with _no_bars():
                model, info = loader.from_pretrained(path, local_files_only=True, output_loading_info=True)
        except Exception as error:  # whatever a foreign file makes the library raise
            first_line = str(error).strip().partition("\n")[0]
            raise PrerequisiteError(
                f"{path} must hold a CLAP model in the layout of transformers: {first_line}"
            ) from error
        if lacking := sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])]):
            raise PrerequisiteError(f"{path} does not hold all weights of a CLAP model: {', '.join(lacking[:4])} …")
        if model.config.projection_dim != self.dim:
            raise PrerequisiteError(
                f"{path} must be a CLAP model with {self.dim}-d embeddings; this one has {model.config.projection_dim}"
            )
        if model.config.audio_config.enable_fusion:
            raise PrerequisiteError(f"{path} must be an unfused CLAP model: a fused one draws parts of long sounds")
        loaded: torch.nn.Module = model
        return loaded

    def _built(self) -> torch.nn.Module:
        return self.build_network()

    def release(self) -> None:
        """Drop model and preprocessing; the next batch builds them again."""
        super().release()
        self._preprocessor = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_preprocessor": None}


class ClapAudioExtractor(_ClapExtractor, AudioExtractor):
    """CLAP embeddings of sounds, one per clip, of length 1.

    Rows are the clip's first 10 s or less, shape (samples,) float32 at 48 kHz.

    Parameters
    ----------
    weights
        ``"published"``, ``"random"``, or a folder in the layout of transformers.
    seed, device, precision, compile
        See :class:`~t2av_bench.models.extractors.network.NetworkExtractor`.
    """

    name = "clap-audio"
    version = 1
    part = "clap_audio"
    sr_hz = SR_HZ
    row_shape = (None,)

    def windows(self, samples: Float32Array, duration_s: float) -> npt.NDArray[Any]:
        """Return the clip's first 10 s as the only row, shape (1, samples)."""
        return np.asarray(samples[: LONGEST_S * SR_HZ], np.float32)[None]

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map waveforms (rows, samples) to embeddings (rows, 512), one by one."""

        def one(row: torch.Tensor) -> torch.Tensor:
            inputs = self.preprocessor(row[0].cpu().numpy(), sampling_rate=SR_HZ, return_tensors="pt").to(row.device)
            found = features(**inputs)
            return found if isinstance(found, type(row)) else found.pooler_output  # transformers 4, 5

        features: Any = self.compiled(network.get_audio_features)
        return self.in_chunks(one, rows, 0)

    @property
    def preprocessor(self) -> Any:
        """The model's own log-mel preprocessing."""
        from transformers import ClapFeatureExtractor

        if self._preprocessor is None:
            if self.weights.is_random:
                self._preprocessor = ClapFeatureExtractor(truncation="rand_trunc")
            else:
                self._preprocessor = ClapFeatureExtractor.from_pretrained(self.weights.path, local_files_only=True)
        return self._preprocessor


class ClapTextExtractor(_ClapExtractor, TextExtractor):
    """CLAP embeddings of captions, of length 1.

    Parameters
    ----------
    weights, seed, device, precision, compile
        As for :class:`ClapAudioExtractor`. With random weights captions become the codes of their bytes, since a
        tokenizer comes with published weights only.
    """

    name = "clap-text"
    version = 1
    part = "clap_text"
    takes_any_caption = True

    def embed_captions(self, captions: list[str]) -> Float32Array:
        """Embed captions, one by one, shape (captions, 512)."""
        import torch

        network, device = self._ready()
        rows = []
        with self.arithmetic(device):
            for caption in captions:
                found = network.get_text_features(**self._tokens(caption, device))  # type: ignore[operator]
                row = found if isinstance(found, torch.Tensor) else found.pooler_output  # transformers 4, 5
                rows.append(row.float().cpu().numpy())
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Embed an array of captions."""
        return TextExtractor.embed_batch(self, inputs)

    def start(self, inputs: npt.NDArray[Any], wanted: Sequence[Extractor]) -> Finish:
        """Embed an array of captions; nothing is prepared beside it."""
        return TextExtractor.start(self, inputs, wanted)

    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Captions are no tensors."""
        raise TypeError("captions are embedded by embed_captions")

    def _tokens(self, caption: str, device: torch.device) -> dict[str, torch.Tensor]:
        import torch

        if self.weights.is_random:
            codes = [0, *(4 + byte for byte in caption.encode()[:500]), 2]
            return {"input_ids": torch.tensor([codes], device=device)}
        if self._preprocessor is None:
            from transformers import AutoTokenizer

            self._preprocessor = AutoTokenizer.from_pretrained(self.weights.path, local_files_only=True)
        tokens = self._preprocessor(caption, truncation=True, return_tensors="pt")
        return {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep the library from drawing progress bars of its own, which it does also where there is no terminal."""
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
