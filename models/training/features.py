"""What frozen networks say about the clips, computed once and kept as memory-mapped arrays.

Latents, embeddings and frame features of a stage do not change while a later stage is trained. Each kind has a key, a
hash of the clips, the weights and everything else it depends on, so that features of other weights are never taken for
these, and of a killed run those that are complete are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from t2av_bench.models.training.clips import ClipStore, write_arrays
from t2av_bench.progress import progress_bar

Array = npt.NDArray[np.generic]
Compute = Callable[[dict[str, Array], slice], dict[str, Array]]
"""Maps a shard's arrays, and which clips they are, to features with one row per clip."""


class Arrays:
    """Rows of many clips, spread over the files of shards.

    Parameters
    ----------
    shards
        For each shard, its arrays by name; all have one row per clip.
    """

    def __init__(self, shards: Sequence[dict[str, Array]]) -> None:
        self._shards = list(shards)
        self._ends = np.cumsum([len(next(iter(shard.values()))) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self._shards[0])

    def take(self, name: str, indices: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the rows of some clips as one tensor in memory, shape (indices, …)."""
        where = np.searchsorted(self._ends, indices, side="right")
        starts = np.concatenate([[0], self._ends[:-1]])
        rows = [self._shards[shard][name][index - starts[shard]] for shard, index in zip(where, indices, strict=True)]
        return torch.from_numpy(np.stack(rows))


def derive(
    store: ClipStore,
    folder: Path,
    compute: Compute,
    *,
    what: str,
    keep_clips: bool = True,
    part: int = 0,
    parts_n: int = 1,
) -> None:
    """Compute features of all clips, shard by shard; those that are there are left alone.

    Parameters
    ----------
    store
        The clips.
    folder
        Named after :func:`features_key`; gets ``<shard>/<name>.npy``.
    compute
        What to compute.
    what
        For the progress bar.
    keep_clips
        Whether the decoded clips stay on the disk; without, each shard goes as soon as its features are there.
    part, parts_n
        Which of several processes this is.
    """
    missing = [bounds for bounds in store.shards() if not (folder / store.shard_name(*bounds)).is_dir()][part::parts_n]
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bar(len(missing), what, "shard") as bar, torch.inference_mode():
        for i, bounds in enumerate(missing):
            if i % store.at_once_n == 0:
                store.prepare(missing[i : i + store.at_once_n])
            write_arrays(folder / store.shard_name(*bounds), compute(store.read_shard(*bounds), slice(*bounds)))
            if not keep_clips:
                store.forget_shard(*bounds)
            bar.update()


def open_features(store: ClipStore, folder: Path) -> Arrays:
    """Open what :func:`derive` has written."""
    return Arrays([_open(folder / store.shard_name(*bounds)) for bounds in store.shards()])


def features_key(store: ClipStore, modules: dict[str, nn.Module], *facts: object) -> str:
    """Hash the clips, the weights of some networks and anything else that features depend on."""
    digest = hashlib.sha256(repr((store.source.key, facts)).encode())
    for name, module in modules.items():
        for entry, tensor in module.state_dict().items():
            digest.update(f"{name}.{entry}".encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:24]


def _open(path: Path) -> dict[str, Array]:
    return {file.stem: np.load(file, mmap_mode="r") for file in path.glob("*.npy")}
