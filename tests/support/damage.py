"""Seeded damage to files, and reading the results as ``evaluate`` does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile

from t2av_bench.errors import MediaError
from t2av_bench.extraction.checking import FileNeed, inspect
from t2av_bench.models.extractors import ClipSource, get_extractor

_HEADER_BYTES = 4096
_BOX = re.compile(rb"[a-z][a-z0-9]{3}")


class Reading(NamedTuple):
    """What reading one damaged file gave: reasons why not, how long it took, and rows read."""

    reasons: tuple[str, ...]
    took_s: float
    rows_n: int


def damaged(data: bytes, seed: int) -> tuple[str, bytes]:
    """Return the name of a kind of damage, and the data with it; the seed decides both."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    return kind, bytes(_KINDS[kind](bytearray(data), rng))


def read_damaged(job: tuple[Path, int, Path, float]) -> Reading:
    """Damage a copy of a file, check and load it as ``evaluate`` does with reference media; runs in a loader process.

    The job: the file, the seed of its damage, a folder for the copy, and the clip's duration.
    """
    source, seed, folder, duration_s = job
    path = folder / f"{seed}-{source.name}"
    path.write_bytes(damaged(source.read_bytes(), seed)[1])
    try:
        return read_all(path, duration_s)
    finally:
        path.unlink()


def read_all(path: Path, duration_s: float) -> Reading:
    """Check a file, and load its sound and its pictures."""
    began_s = time.monotonic()
    answer = inspect(FileNeed(path.stem, path, 0.0, duration_s, audio=True, video=True, may_be_silent=True))
    reasons = [answer["reason"]] if "kind" in answer else []
    rows_n = 0
    for name in ("lite-audio", "lite-video"):
        try:
            rows_n += len(get_extractor(name).load(ClipSource(path, 0.0, duration_s)))
        except MediaError as error:
            reasons.append(error.reason)
    return Reading(tuple(reasons), time.monotonic() - began_s, rows_n)


def shortened(source: Path, target: Path, length_s: float) -> Path:
    """Copy the packets of the first seconds into another container, by the target's ending; nothing is coded anew."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in container.streams if s.type in ("audio", "video")}
        for packet in container.demux([container.streams[i] for i in streams]):
            if packet.dts is not None and packet.dts * packet.time_base < length_s:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return target


def _flip(data: bytearray, rng: np.random.Generator, until: int | None = None, most: int = 40) -> bytearray:
    for at in rng.integers(0, min(len(data), until or len(data)), rng.integers(1, most)):
        data[at] ^= 1 << rng.integers(8)
    return data


def _truncate(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(0, len(data))]


def _boxes(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Change sizes, counts and times: numbers of four bytes around names of four letters, as in MP4 and RIFF."""
    places = [match.start() for match in _BOX.finditer(bytes(data)) if match.start() >= 4]
    for place in rng.choice(places, min(3, len(places)), replace=False) if places else ():
        at = int(place) + int(rng.choice([-4, 4, 8, 12, 16, 20, 24]))
        if 0 <= at <= len(data) - 4:
            data[at : at + 4] = int(rng.choice([0, 1, 7, 2**16, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4, "big")
    return data


def _block(change: Callable[[bytearray, np.random.Generator], bytes]) -> Callable[..., bytearray]:
    def apply(data: bytearray, rng: np.random.Generator) -> bytearray:
        start = int(rng.integers(0, len(data)))
        stop = start + int(rng.integers(1, max(2, len(data) // 4)))
        return data[:start] + change(data[start:stop], rng) + data[stop:]

    return apply


_KINDS: dict[str, Callable[..., bytearray]] = {
    "bits anywhere": _flip,
    "bits in the header": lambda data, rng: _flip(data, rng, _HEADER_BYTES),
    "one bit in the header": lambda data, rng: _flip(data, rng, _HEADER_BYTES, 2),
    "bits at the end": lambda data, rng: data[:-_HEADER_BYTES] + _flip(data[-_HEADER_BYTES:], rng),
    "sizes": _boxes,
    "truncated": _truncate,
    "zeros": _block(lambda block, rng: bytes(len(block))),
    "noise": _block(lambda block, rng: rng.bytes(len(block))),
    "hole": _block(lambda block, rng: b""),
    "repeated": _block(lambda block, rng: block * 2),
}
KINDS = tuple(_KINDS)


def small_sources(folder: Path, clips: list[Path], length_s: float) -> list[Path]:
    """Make files of about a second of clips: the first two in three containers each, the others as MP4."""
    return [
        shortened(clip, folder / f"{number}-{clip.stem}{suffix}", length_s)
        for number, clip in enumerate(clips)
        for suffix in (".mp4", ".mkv", ".avi")[: 3 if number < 2 else 1]
    ]


def sound_sources(folder: Path) -> list[Path]:
    """Make short files of sound in several formats."""
    tone = 0.3 * np.sin(np.arange(16_000) / 5)
    made = [folder / f"tone{suffix}" for suffix in (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au")]
    for path in made:
        soundfile.write(path, tone, 16_000)
    return made
