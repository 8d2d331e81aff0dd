"""A small world whose reference is there as media and as packs; packs altered, and sealed as a stranger would."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import safe_open

import t2av_bench as tb
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.packs.building import build_pack
from t2av_bench.packs.layout import Content, StoredTensor, write_pack

N = 8
_CODES = {"int64": "I64", "float64": "F64", "float32": "F32", "float16": "F16", "uint8": "U8"}
Tensors = dict[str, npt.NDArray[Any]]


class World:
    """Clips, prediction sets, and a pack of each number format."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.options: dict[str, Any] = {"features": "lite", "num_workers": 0, "cache_dir": folder / "cache"}
        self.manifest = render("val", N, 0, self.data, num_workers=0, progress=False)
        self.preds = write_prediction_sets(self.manifest, folder / "preds")
        self.packs = {
            dtype: build_pack(folder / f"{dtype}.pack", self.manifest, dtype=dtype, **self.options).path
            for dtype in ("float16", "float32")
        }
        # What somebody has who has no media: the same list of clips, without its folder.
        self.list = Manifest(self.manifest.name, self.manifest.table, self.manifest.version, self.manifest.licence)

    def evaluated(self, system: str, pack: str | Path | None = None, **options: Any) -> tb.Result:
        """Score with media, or with a pack and without them."""
        options = self.options | options
        if pack is None:
            return tb.evaluate(self.preds[system], self.manifest, **options)
        path = self.packs.get(str(pack), Path(pack))
        return tb.evaluate(self.preds[system], self.list, reference_pack=path, **options)


def taken_apart(path: Path) -> tuple[dict[str, Any], Tensors]:
    """Return record and tensors, in the order of the file and without its SHA-256."""
    with safe_open(path, framework="numpy") as file:
        record = json.loads(file.metadata()["record"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    del tensors["sha256"]
    return record, dict(sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))


def put_together(path: Path, record: dict[str, Any], tensors: Tensors) -> Path:
    """Write a pack whose SHA-256 at the end is right, whatever else is not."""
    contents = [Content(StoredTensor(name, _CODES[str(a.dtype)], a.shape), [a]) for name, a in tensors.items()]
    write_pack(path, record, contents)
    return path


def sealed(content: bytes) -> bytes:
    """Return the bytes of a file with the SHA-256 at its end made right."""
    return content[:-32] + hashlib.sha256(content[:-32]).digest()
