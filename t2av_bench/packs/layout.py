"""The file of a reference pack: what stands where, and how it is written.

A pack is a safetensors file, so any reader of that format opens it. Its tensors, little-endian and in this order:

==========================  ==========  =============  =================================================================
tensor                      type        shape          what
==========================  ==========  =============  =================================================================
``offsets/<extractor>``     I64         (clips + 1,)   clip *i* has the rows ``offsets[i]`` to ``offsets[i + 1]``
``events/offsets``          I64         (clips + 1,)   the same of its events; where the manifest knows when these are
``events/times_s``          F64         (events,)      seconds from the clip's start
``embeddings/<extractor>``  F32 or F16  (rows, dim)    all clips below each other
``clips``                   U8          (bytes,)       CSV in UTF-8, a row per clip with the columns of :data:`COLUMNS`
``sha256``                  U8          (32,)          SHA-256 of all bytes of the file before it
==========================  ==========  =============  =================================================================

Clips are in the manifest's order. The header's metadata holds ``format`` and ``record``: a JSON object that follows
``pack.schema.json`` and says of which manifest, protocol and extractors the embeddings are. There is no date in it: the
same embeddings make the same bytes. What identifies a pack is the SHA-256 of its file.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import PackError
from t2av_bench.files import remove_leftovers, replacing

FORMAT = "t2av-bench reference pack"
SCHEMA_VERSION = 1
# A record takes a few thousand bytes; nothing larger is read.
MAX_HEADER_BYTES = 1 << 20
DIGEST_BYTES = 32
COLUMNS = ("clip_id", "start_s", "duration_s", "media_sha256", "caption_sha256", "padded", "silent")
CODES = {"float16": "F16", "float32": "F32"}

_TYPES: dict[str, str] = {"I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2", "U8": "u1"}


class StoredTensor(NamedTuple):
    """One tensor of the file: name, safetensors' code of its type, shape."""

    name: str
    code: str
    shape: tuple[int, ...]

    @property
    def bytes_n(self) -> int:
        """Bytes that it takes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(_TYPES[self.code]).itemsize


class Content(NamedTuple):
    """A tensor and what is in it, piece by piece along its first axis."""

    tensor: StoredTensor
    pieces: Iterable[npt.NDArray[Any]]


def whole(name: str, code: str, array: npt.NDArray[Any]) -> Content:
    """Return a tensor whose content is at hand."""
    return Content(StoredTensor(name, code, array.shape), [array])


def write_pack(path: Path, record: dict[str, Any], contents: Sequence[Content]) -> str:
    """Write a pack from first to last byte, under a temporary name first, and return its SHA-256.

    Parameters
    ----------
    path
        The file; its folder is made.
    record
        What the pack says of itself.
    contents
        All tensors but ``sha256``, in the order of the file. Memory does not grow with their number of rows.

    Raises
    ------
    PackError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path)
        with replacing(path, durable=True) as temporary, temporary.open("wb") as file:
            digest = hashlib.sha256()
            for piece in _bytes_of(record, contents):
                file.write(piece)
                digest.update(piece)
            last = digest.digest()
            file.write(last)
            digest.update(last)
    except OSError as error:
        raise PackError(path, f"cannot be written ({error.strerror or error})") from error
    return digest.hexdigest()


def _bytes_of(record: dict[str, Any], contents: Sequence[Content]) -> Iterable[bytes]:
    tensors = [*(content.tensor for content in contents), StoredTensor("sha256", "U8", (DIGEST_BYTES,))]
    yield _header(record, tensors)
    for tensor, pieces in contents:
        written = 0
        for piece in pieces:
            encoded = np.ascontiguousarray(piece, dtype=_TYPES[tensor.code]).tobytes()
            written += len(encoded)
            yield encoded
        assert written == tensor.bytes_n, tensor  # the header was written before


def _header(record: dict[str, Any], tensors: Sequence[StoredTensor]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    entries: dict[str, Any] = {"__metadata__": {"format": FORMAT, "record": text}}
    place = 0
    for tensor in tensors:
        end = place + tensor.bytes_n
        entries[tensor.name] = {"dtype": tensor.code, "shape": tensor.shape, "data_offsets": [place, end]}
        place = end
    encoded = json.dumps(entries, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # numbers begin at multiples of 8 bytes
    return struct.pack("<Q", len(encoded)) + encoded
