"""What all network extractors share: device, lazy building, checks, equal results in any batch."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError, UsageError
from t2av_bench.models.extractors.arithmetic import (
    BUILDING,
    FULL,
    check_precision,
    exact_arithmetic,
    in_fixed_chunks,
    lower_weights,
    resolve_device,
)
from t2av_bench.models.extractors.base import Extractor, Finish, Float32Array
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.chosen_weights import PUBLISHED, ChosenWeights
from t2av_bench.models.extractors.drawn import draw_state_dict
from t2av_bench.models.extractors.staging import Staging
from t2av_bench.models.extractors.weights import apply_state_dict, load_state_dict
from t2av_bench.models.extractors.windows import GRID_SR_HZ, WINDOW_S

if TYPE_CHECKING:
    import torch


def import_torch(extractors: Iterable[Extractor]) -> None:
    """Import torch, which takes seconds, if any of these extractors will need it."""
    if any(isinstance(extractor, NetworkExtractor) for extractor in extractors):
        import torch  # noqa: F401


class NetworkExtractor(Extractor):
    """An extractor whose device part is a torch network.

    Parameters
    ----------
    weights
        ``"published"`` (fetched beforehand), ``"random"`` (marks results as not comparable), or the path of a file in
        the published layout.
    seed
        Of random weights.
    device
        ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Not part of the fingerprint:
        devices differ by rounding only.
    hop_s
        Distance between window starts in seconds, a multiple of 1/16000; without meaning for clip-level extractors.
    precision
        ``fp32``; or ``bf16`` or ``fp16`` (on a GPU only) for the products of convolutions and linear layers, which is
        faster and makes results not comparable. ``benchmarks/precision.py`` measures the effect on each score.
    compile
        Let ``torch.compile`` make kernels for the network, which takes a C++ compiler and tens of seconds at the start.
        Sums come in another order, so embeddings differ from the plain ones by rounding.

    Raises
    ------
    UsageError
        If an option is not one of these.

    Notes
    -----
    The network is built on first use. Pickling drops it, so an extractor travels to loader workers as a few hundred
    bytes. Arithmetic is float32, unless ``precision`` says otherwise, with TF32 off and deterministic algorithms. Every
    pass through a layer has the same number of rows
    (:func:`~t2av_bench.models.extractors.arithmetic.in_fixed_chunks`), so an embedding is bit for bit the same in
    whatever batch it is computed. With another number of threads it is so on some processors only.
    """

    has_network = True
    weights_name: ClassVar[str]
    load_key: ClassVar[str] = "state_dict"
    row_shape: ClassVar[tuple[int | None, ...]]
    row_dtype: ClassVar[type[np.generic]] = np.float32
    chunks_n: ClassVar[Mapping[str, tuple[int, ...]]] = {"cpu": (1,), "cuda": (1,)}
    """For each kind of device, rows per pass through each part of the network."""

    def __init__(
        self,
        *,
        weights: str | Path = PUBLISHED,
        seed: int = 0,
        device: str = "auto",
        hop_s: float = WINDOW_S,
        precision: str = FULL,
        compile: bool = False,
    ) -> None:
        hop_n = hop_s * GRID_SR_HZ
        if not (math.isfinite(hop_n) and round(hop_n) >= 1 and abs(hop_n - round(hop_n)) < 1e-6):
            raise UsageError(f"`hop_s` must be a positive multiple of 1/16000 s; got {hop_s!r}.")
        self.hop_s = float(hop_s)
        self.weights = ChosenWeights(WEIGHTS[self.weights_name], weights, seed)
        self.device = device
        self.precision = check_precision(precision)
        self.compile = bool(compile)
        self._network: torch.nn.Module | None = None
        self._halved_n = 0
        self._staging: Staging | None = None

    @abstractmethod
    def build_network(self) -> torch.nn.Module:
        """Return the network without weights, with the published file's names; called on torch's meta device."""

    @abstractmethod
    def forward(self, network: Any, rows: torch.Tensor) -> torch.Tensor:
        """Map rows on the device to embeddings, shape (rows, dim), in chunks of fixed size."""

    def options(self) -> dict[str, Any]:
        """Return weights and hop, and how the network is run if not plainly; subclasses add their own choices."""
        options = self.network_options()
        return options if self.unit == "clip" else {**options, "hop_s": self.hop_s}

    def network_options(self) -> dict[str, Any]:
        """Return the weights, and precision and compilation where they are not the default."""
        precision = {} if self.precision == FULL else {"precision": self.precision}
        return {**self.weights.options(), **precision, **({"compiled": True} if self.compile else {})}

    @property
    def not_comparable(self) -> str:
        """Why embeddings must not be put on a leaderboard; empty with the verified published weights in float32."""
        lower = "" if self.precision == FULL else f"the {self.name} network ran in {self.precision}, not {FULL}"
        return "; ".join(filter(None, [self.weights.not_comparable, lower]))

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights file, None for random weights."""
        return self.weights.sha256

    @property
    def network(self) -> torch.nn.Module:
        """The torch network with its weights, in evaluation mode on the device; built on first use."""
        return self._ready()[0]

    def check(self) -> None:
        """Find and verify the weights and the device, without reading the one into the other.

        Raises
        ------
        PrerequisiteError
            If the weights are missing or not the published ones.
        UsageError
            If the device does not exist.
        """
        self.weights.check()
        if self.device not in ("auto", "cpu"):  # those two are always there, and torch takes seconds to import
            resolve_device(self.device)
        if self.precision == "fp16" and resolve_device(self.device).type == "cpu":
            raise UsageError(
                "fp16 needs a GPU: on a CPU it is several times slower than fp32; bf16 is the fast one there."
            )

    def embed_batch(self, inputs: npt.NDArray[Any]) -> Float32Array:
        """Embed a batch of rows.

        Parameters
        ----------
        inputs
            Shape (rows, *row_shape) and type as :meth:`load` returns them.

        Returns
        -------
        numpy.ndarray, shape (rows, dim), float32

        Raises
        ------
        MetricError
            If shape or type are wrong, or an embedding is not finite.
        PrerequisiteError
            If the weights are missing, unverified or of another layout.
        """
        return self.start(inputs, [self])()[0]

    def start(self, inputs: npt.NDArray[Any], wanted: Sequence[Extractor]) -> Finish:
        """Begin to embed a batch for several extractors with this one's ``pass_key``; see the base class."""
        self._check_rows(inputs)
        if len(inputs) == 0:
            return lambda: [np.zeros((0, extractor.dim), np.float32) for extractor in wanted]
        network, device = self._ready()
        with self.arithmetic(device):
            rows = self._staging_on(device).send(inputs)
            fetch = self._staging_on(device).fetch(self.forward_all(network, rows, wanted))

        def finish() -> list[Float32Array]:
            return [self._finite(outputs) for outputs in fetch()]

        return finish

    def forward_all(self, network: Any, rows: torch.Tensor, wanted: Sequence[Extractor]) -> list[torch.Tensor]:
        """Map rows to the embeddings of each extractor with this one's ``pass_key``."""
        embeddings = self.forward(network, rows)
        return [embeddings for _ in wanted]

    def arithmetic(self, device: torch.device) -> AbstractContextManager[None]:
        """Return the context in which the network runs."""
        return exact_arithmetic(device, self.precision)

    def _finite(self, outputs: Float32Array) -> Float32Array:
        if not np.isfinite(outputs).all():
            bad_n = int((~np.isfinite(outputs)).any(axis=1).sum())
            raise MetricError(f"{self.name}: {bad_n} of {len(outputs)} embeddings are not finite; check the input.")
        return outputs

    def in_chunks(
        self, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, part: int
    ) -> torch.Tensor:
        """Apply one part of the network to rows, in passes of the size that ``chunks_n`` gives it."""
        return in_fixed_chunks(function, rows, self._chunk_n(rows.device.type, part))

    def _chunk_n(self, device_type: str, part: int) -> int:
        return max(1, self.chunks_n[device_type][part] >> self._halved_n)

    @property
    def works_ahead(self) -> bool:
        """Whether the network runs on a device of its own."""
        return resolve_device(self.device).type != "cpu"

    @property
    def pass_rows_n(self) -> int:
        """How many rows one pass through the widest part of the network takes."""
        return max(1, max(self.chunks_n[resolve_device(self.device).type]) >> self._halved_n)

    def use_less_memory(self) -> bool:
        """Halve the rows per pass; False if every part takes one already.

        Embeddings differ by rounding from there on, as they do between devices (:func:`in_fixed_chunks`).
        """
        possible = self.pass_rows_n > 1
        self._halved_n += possible
        return possible

    def compiled(self, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """Return what runs in place of a function of the network: its compiled form, if that was chosen."""
        if not self.compile:
            return function
        import torch

        return torch.compile(function, dynamic=False)

    def _staging_on(self, device: torch.device) -> Staging:
        if self._staging is None or self._staging.device != device:
            self._staging = Staging(device)
        return self._staging

    def _check_rows(self, inputs: npt.NDArray[Any]) -> None:
        fits = inputs.ndim == len(self.row_shape) + 1 and all(
            wanted is None or wanted == given for wanted, given in zip(self.row_shape, inputs.shape[1:], strict=False)
        )
        if not fits or inputs.dtype != self.row_dtype:
            wanted = ", ".join("n" if size is None else str(size) for size in self.row_shape)
            raise MetricError(
                f"{self.name} takes {np.dtype(self.row_dtype).name} of shape (rows, {wanted}); "
                f"got {inputs.dtype.name} of shape {inputs.shape}."
            )

    def warm_up(self) -> None:
        """Build the network now and not with the first batch."""
        self._ready()

    def release(self) -> None:
        """Drop the network; the next batch builds it again."""
        self._network = self._staging = None

    def _ready(self) -> tuple[torch.nn.Module, torch.device]:
        """Return the network with its weights on the device, built once."""
        device = resolve_device(self.device)
        with BUILDING:
            if self._network is None:
                network = self.arrange(self._built().eval().requires_grad_(False).to(device))
                self._network = lower_weights(network, self.precision)
        return self._network, device

    def _built(self) -> torch.nn.Module:
        """Return the network with its weights, on the CPU."""
        import torch

        with torch.device("meta"):
            network = self.build_network()
        if self.weights.is_random:
            network.load_state_dict(draw_state_dict(network, self.weights.seed), assign=True)
        else:
            path = self.weights.path
            apply_state_dict(network, load_state_dict(path, key=self.load_key), path)
        return network

    def arrange(self, network: torch.nn.Module) -> torch.nn.Module:
        """Lay out the weights for speed; values stay."""
        return network

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None, "_staging": None}
