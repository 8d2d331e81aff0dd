"""Opening a reference pack that anybody may have made.

Nothing in it is executed, and nothing of it is believed before the SHA-256 at its end has been seen to be that of its
bytes: every altered, truncated or exchanged byte shows there. What a stranger made on purpose passes that test; so the
header's size is bounded, every tensor must have the name, type and shape that follow from the record, and every row is
held to be finite when it is read. Rows are read from a memory map, clip by clip.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache, file_key
from t2av_bench.errors import CacheError, MediaError, PackError, shown
from t2av_bench.packs.layout import CODES, COLUMNS, DIGEST_BYTES, FORMAT, MAX_HEADER_BYTES, SCHEMA_VERSION
from t2av_bench.schemas import first_violation, parse_json, too_new

Float32Array = npt.NDArray[np.float32]
_CHUNK_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PackedClip(NamedTuple):
    """What a pack knows of one clip.

    Attributes
    ----------
    clip_id, start_s, duration_s
        As in the manifest.
    media_sha256, caption_sha256
        Of the bytes of the media file, and of the caption in UTF-8.
    padded, silent
        Whether the sound was up to 0.1 s short and padded with zeros; whether it is digitally silent.
    """

    clip_id: str
    start_s: float
    duration_s: float
    media_sha256: str
    caption_sha256: str
    padded: bool
    silent: bool


class ReferencePack:
    """An open pack; made by :meth:`open`.

    Attributes
    ----------
    path, sha256
        The file, and the SHA-256 of its bytes: what identifies the pack.
    record
        What it says of itself, by ``pack.schema.json``.
    clips
        In the order of their rows.
    """

    def __init__(self, path: Path, sha256: str, record: dict[str, Any], clips: list[PackedClip], tensors: Any) -> None:
        self.path, self.sha256, self.record, self.clips = path, sha256, record, clips
        self.offsets = {
            name: _offsets(path, tensors, f"offsets/{name}", f"embeddings/{name}") for name in record["extractors"]
        }
        self._rows = {name: tensors.get_slice(f"embeddings/{name}") for name in record["extractors"]}
        self._events = _events(path, tensors, clips)

    @classmethod
    def open(cls, path: str | Path, remembered_in: EmbeddingCache | None = None) -> ReferencePack:
        """Verify a pack's bytes and structure.

        Parameters
        ----------
        path
            The file.
        remembered_in
            Cache that remembers the SHA-256 of files by size and times, so that a pack of gigabytes is hashed once.

        Raises
        ------
        PackError
            If it cannot be read, is no pack, is damaged, or needs a later version of the toolkit.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        try:
            _check_header_size(path)
            tensors: Any = safe_open(path, framework="numpy")
            if (tensors.metadata() or {}).get("format") != FORMAT:
                raise _no_pack(path, f"its header must name the format {FORMAT!r}")
            sha256 = _known_sha256(path, remembered_in) if remembered_in is not None else pack_sha256(path)
            record = _record(path, tensors.metadata())
            _check_tensors(path, tensors, record)
            clips = _clips(path, tensors.get_tensor("clips").tobytes())
            if len(clips) != record["clips"]:
                raise _no_pack(path, f"its record counts {record['clips']} clips, its table {len(clips)}")
            return cls(path, sha256, record, clips, tensors)
        except OSError as error:
            raise PackError(path, f"cannot be read ({error.strerror or error})") from error
        except SafetensorError as error:
            raise _no_pack(path, shown(str(error), 200)) from error

    def rows(self, extractor: str, place: int) -> Float32Array:
        """Return the embeddings of the clip at a place, shape (rows, dim).

        Raises
        ------
        PackError
            If one is not finite.
        """
        begin, end = self.offsets[extractor][place : place + 2].tolist()
        found: Float32Array = self._rows[extractor][begin:end].astype(np.float32)
        if not np.isfinite(found).all():
            raise PackError(
                self.path,
                f"must hold finite embeddings; those of {shown(extractor)} of the clip"
                f" {shown(self.clips[place].clip_id)} are not",
            )
        return found

    def rows_n(self, extractor: str) -> npt.NDArray[np.int64]:
        """Return how many rows each clip has, shape (clips,)."""
        counts: npt.NDArray[np.int64] = np.diff(self.offsets[extractor])
        return counts

    def event_times(self) -> dict[str, npt.NDArray[np.float64]] | None:
        """Return when the events of each clip are, in seconds, shape (events,); None if the pack does not know."""
        return self._events


def pack_sha256(path: Path) -> str:
    """Return the SHA-256 of a pack's file, all of which is read.

    Raises
    ------
    PackError
        If the file does not end with the SHA-256 of what is before.
    """
    left = path.stat().st_size - DIGEST_BYTES
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
        last = file.read()
    if digest.digest() != last:
        raise PackError(
            path, "is damaged: its bytes do not have the SHA-256 that stands at its end; fetch or build it again"
        )
    digest.update(last)
    return digest.hexdigest()


def _known_sha256(path: Path, cache: EmbeddingCache) -> str:
    try:
        key = file_key(path, f"pack {SCHEMA_VERSION}")
    except MediaError as error:
        raise PackError(path, error.reason) from error
    known = (cache.recall(key) or {}).get("pack_sha256")
    if isinstance(known, str) and _SHA256.fullmatch(known):
        return known
    found = pack_sha256(path)
    try:
        cache.remember(key, {"pack_sha256": found})
    except CacheError:
        return found  # a cache that can only be read may hold all that is needed; it is hashed again next time
    return found


def _check_header_size(path: Path) -> None:
    """Refuse what a reader of the header would allocate too much for."""
    with path.open("rb") as file:
        first = file.read(8)
    size = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
    if not 0 < size <= MAX_HEADER_BYTES:
        raise _no_pack(path, f"its first 8 bytes must give the size of a header of at most {MAX_HEADER_BYTES} bytes")


def _record(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        record = parse_json(metadata.get("record", ""))
    except (ValueError, RecursionError) as error:
        raise _no_pack(path, f"its record must be JSON: {shown(str(error), 200)}") from error
    if reason := too_new(record, SCHEMA_VERSION):
        raise PackError(path, reason)
    violation = first_violation(record, "pack")
    if violation is not None:
        raise _no_pack(path, f"its record is wrong {violation}")
    checked: dict[str, Any] = record
    return checked


def _check_tensors(path: Path, tensors: Any, record: dict[str, Any]) -> None:
    """Hold the tensors to the record: these and no others, each of the type and the shape that follow."""
    clips_n = record["clips"]
    expected: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "clips": ("U8", (None,)),
        "sha256": ("U8", (DIGEST_BYTES,)),
    }
    for name, extractor in record["extractors"].items():
        expected[f"offsets/{name}"] = ("I64", (clips_n + 1,))
        expected[f"embeddings/{name}"] = (CODES[extractor["dtype"]], (None, extractor["dim"]))
    present = set(tensors.keys())
    if "events/times_s" in present:
        expected |= {"events/offsets": ("I64", (clips_n + 1,)), "events/times_s": ("F64", (None,))}
    if present != set(expected):
        odd = ", ".join(shown(name) for name in sorted(present ^ set(expected))[:3])
        raise _no_pack(path, f"it lacks tensors, or has some that its record does not speak of: {odd}")
    for name, (code, shape) in expected.items():
        found = tensors.get_slice(name)
        fits = len(found.get_shape()) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, found.get_shape(), strict=True)
        )
        if found.get_dtype() != code or not fits:
            spoken = "×".join("n" if want is None else str(want) for want in shape)
            raise _no_pack(path, f"the tensor {shown(name)} must be {code} of shape {spoken}")


def _offsets(path: Path, tensors: Any, name: str, rows: str) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = tensors.get_tensor(name)
    if found[0] != 0 or found[-1] != tensors.get_slice(rows).get_shape()[0] or (found[1:] < found[:-1]).any():
        raise _no_pack(path, f"{shown(name)} must rise from 0 to the number of rows")
    return found


def _events(path: Path, tensors: Any, clips: list[PackedClip]) -> dict[str, npt.NDArray[np.float64]] | None:
    if "events/times_s" not in tensors.keys():  # noqa: SIM118 - no mapping
        return None
    offsets = _offsets(path, tensors, "events/offsets", "events/times_s")
    times_s = tensors.get_tensor("events/times_s")
    found = {clip.clip_id: times_s[offsets[i] : offsets[i + 1]] for i, clip in enumerate(clips)}
    for clip in clips:
        of_clip = found[clip.clip_id]
        if not ((of_clip >= 0.0) & (of_clip <= clip.duration_s)).all() or (of_clip[1:] < of_clip[:-1]).any():
            raise _no_pack(path, f"the events of {shown(clip.clip_id)} must rise within its {clip.duration_s:g} s")
    return found


def _clips(path: Path, table: bytes) -> list[PackedClip]:
    try:
        rows = list(csv.reader(io.StringIO(table.decode(), newline=""), strict=True))
        if tuple(rows[0] if rows else ()) != COLUMNS:
            raise ValueError(f"it must have the columns {','.join(COLUMNS)}")
        clips = [_clip(row) for row in rows[1:]]
    except (ValueError, csv.Error) as error:
        raise _no_pack(path, f"its table of clips cannot be read: {shown(str(error), 200)}") from error
    if len({clip.clip_id for clip in clips}) < len(clips):
        raise _no_pack(path, "its table of clips names a clip twice")
    return clips


def _clip(row: list[str]) -> PackedClip:
    if len(row) != len(COLUMNS):
        raise ValueError(f"a row has {len(row)} fields, the header {len(COLUMNS)}")
    clip_id, start_s, duration_s, media, caption, padded, silent = row
    clip = PackedClip(clip_id, float(start_s), float(duration_s), media, caption, padded == "1", silent == "1")
    if not (math.isfinite(clip.start_s) and math.isfinite(clip.duration_s)):
        raise ValueError("a time is not finite")
    if not (_SHA256.fullmatch(media) and _SHA256.fullmatch(caption)):
        raise ValueError("media_sha256 and caption_sha256 must be 64 hexadecimal digits")
    if not {padded, silent} <= {"0", "1"}:
        raise ValueError("padded and silent must be 0 or 1")
    return clip


def _no_pack(path: Path, reason: str) -> PackError:
    return PackError(path, f"is no reference pack that can be used: {reason}")
