"""Reading the published lists, with every defect that they are known to have.

=========  ===================================================  =====================================================
source     defect                                               what is done
=========  ===================================================  =====================================================
AudioCaps  several rows per clip in ``val`` and ``test``        caption of the lowest ``audiocap_id``; the others are
                                                                kept as alternatives
VGGSound   no captions                                          the label is the caption
VGGSound   misspelt labels                                      right in the caption, as published in ``labels``
VGGSound   several clips of one video                           keyed by video and start
LLP        TAB between columns in spite of the name ``.csv``    read so
LLP        no captions                                          phrases of the labels, joined
LLP        fractional starts (5 clips of ``train``)             kept to the millisecond
LLP        a label twice in one row                             once
=========  ===================================================  =====================================================

The time lines of LLP have their own reader and defects: :mod:`t2av_bench.manifests.llp_events`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2av_bench.errors import ManifestError

_VIDEO = r"(?P<video>[\w-]{11})"
_VGGSOUND_NAME = re.compile(_VIDEO + r"_(?P<start>\d{6})\.mp4", re.ASCII)
LLP_NAME = re.compile(_VIDEO + r"_(?P<start>\d+(\.\d+)?)_(?P<end>\d+(\.\d+)?)", re.ASCII)
_VIDEO_ID = re.compile(_VIDEO, re.ASCII)

SPELLING = {"eletric blender running": "electric blender running", "playing tympani": "playing timpani"}
"""VGGSound's misspelt labels and how they read in a caption."""

LLP_PHRASES = {
    "Accordion": "accordion",
    "Acoustic_guitar": "acoustic guitar",
    "Baby_cry_infant_cry": "baby crying",
    "Baby_laughter": "baby laughing",
    "Banjo": "banjo",
    "Basketball_bounce": "basketball bouncing",
    "Blender": "blender running",
    "Car": "car",
    "Cat": "cat meowing",
    "Cello": "cello",
    "Chainsaw": "chainsaw",
    "Cheering": "people cheering",
    "Chicken_rooster": "chicken clucking or rooster crowing",
    "Clapping": "people clapping",
    "Dog": "dog barking",
    "Fire_alarm": "fire alarm",
    "Frying_(food)": "food frying",
    "Helicopter": "helicopter",
    "Lawn_mower": "lawn mower",
    "Motorcycle": "motorcycle",
    "Singing": "person singing",
    "Speech": "person speaking",
    "Telephone_bell_ringing": "telephone bell ringing",
    "Vacuum_cleaner": "vacuum cleaner",
    "Violin_fiddle": "violin",
}
"""How LLP's 25 labels read in a caption."""


@dataclass(frozen=True)
class Entry:
    """One clip of a published list.

    Attributes
    ----------
    video, start_s
        The key: YouTube id, and start in the video in seconds.
    source, split
        ``audiocaps``, ``vggsound`` or ``llp``; ``train``, ``val`` or ``test``.
    caption, alternatives
        The text a system is given, and other texts that people wrote for the same clip.
    labels
        Classes as published.
    """

    video: str
    start_s: float
    source: str
    split: str
    caption: str
    labels: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, float]:
        """Video and start: what makes two clips the same."""
        return (self.video, self.start_s)


def read_audiocaps(path: Path, split: str) -> list[Entry]:
    """Read a list of AudioCaps: one entry per clip, in the order of first appearance.

    Raises
    ------
    ManifestError
        Naming the file, row and column that break the format.
    """
    header = ("audiocap_id", "youtube_id", "start_time", "caption")
    captions: dict[tuple[str, float], dict[int, str]] = {}
    for where, row in table_rows(path, ",", header):
        key = (_video(row[1], f"{where}, column 'youtube_id'"), _whole(row[2], f"{where}, column 'start_time'"))
        caption_id = int(_whole(row[0], f"{where}, column 'audiocap_id'"))
        if not row[3].strip():
            raise ManifestError(f"{where}, column 'caption': must not be empty")
        if captions.setdefault(key, {}).setdefault(caption_id, row[3]) != row[3]:
            raise ManifestError(f"{where}, column 'audiocap_id': {caption_id} stands for two captions of one clip")
    entries = []
    for (video, start_s), by_id in captions.items():
        first, *others = (by_id[i] for i in sorted(by_id))
        entries.append(Entry(video, start_s, "audiocaps", split, first, alternatives=tuple(others)))
    return entries


def read_vggsound_test(path: Path) -> list[Entry]:
    """Read VGGSound's ``test.csv``: ``<id>_<start>.mp4,<label>`` without a header; raises ``ManifestError``."""
    entries = []
    for where, row in table_rows(path, ",", None, columns_n=2):
        match = _VGGSOUND_NAME.fullmatch(row[0])
        if match is None:
            raise ManifestError(f"{where}, column 1: must be <11 characters>_<6 digits>.mp4, got {row[0]!r}")
        entries.append(_vggsound(match["video"], float(match["start"]), row[1], "test", where))
    return _unique(entries, path)


def read_vggsound_full(path: Path, split: str) -> list[Entry]:
    """Read one split of ``vggsound.csv``: id, start, label, split, without a header; raises ``ManifestError``."""
    entries = []
    for where, row in table_rows(path, ",", None, columns_n=4):
        if row[3] not in ("train", "test"):
            raise ManifestError(f"{where}, column 4: must be train or test, got {row[3]!r}")
        video, start_s = _video(row[0], f"{where}, column 1"), _whole(row[1], f"{where}, column 2")
        if row[3] == split:
            entries.append(_vggsound(video, start_s, row[2], split, where))
    return _unique(entries, path)


def _vggsound(video: str, start_s: float, label: str, split: str, where: str) -> Entry:
    if not label.strip() or ";" in label:
        raise ManifestError(f"{where}: the label must not be empty or hold a semicolon, got {label!r}")
    return Entry(video, start_s, "vggsound", split, SPELLING.get(label, label), (label,))


def read_llp(path: Path, split: str) -> list[Entry]:
    """Read a list of LLP: ``filename`` and comma-separated ``event_labels``, TAB between; raises ``ManifestError``."""
    entries = []
    for where, row in table_rows(path, "\t", ("filename", "event_labels")):
        match = LLP_NAME.fullmatch(row[0])
        if match is None:
            raise ManifestError(f"{where}, column 'filename': must be <11 characters>_<start>_<end>, got {row[0]!r}")
        if round(float(match["end"]) - float(match["start"]), 3) != 10.0:
            raise ManifestError(f"{where}, column 'filename': the clip must last 10 s, got {row[0]!r}")
        labels = tuple(dict.fromkeys(row[1].split(",")))
        if unknown := [label for label in labels if label not in LLP_PHRASES]:
            raise ManifestError(f"{where}, column 'event_labels': there is no label {unknown[0]!r}")
        start_s = round(float(match["start"]), 3)
        entries.append(Entry(match["video"], start_s, "llp", split, _sentence(labels), labels))
    return _unique(entries, path)


def _sentence(labels: tuple[str, ...]) -> str:
    """Join phrases as people do: ``a``, ``a and b``, ``a, b and c``."""
    *rest, last = (LLP_PHRASES[label] for label in labels)
    return f"{', '.join(rest)} and {last}" if rest else last


def table_rows(
    path: Path, delimiter: str, header: tuple[str, ...] | None, columns_n: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """Yield where a row stands and its fields, one at a time, so that a list of any length fits into memory."""
    columns_n = len(header) if header else columns_n
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # A quote must be closed; none of LLP's fields has one.
            for number, row in enumerate(csv.reader(file, delimiter=delimiter, strict=True), start=1):
                if len(row) != columns_n:
                    separator = "TAB" if delimiter == "\t" else "comma"
                    raise ManifestError(
                        f"{path}: row {number}: must have {columns_n} fields separated by {separator}, got {len(row)}"
                    )
                if number == 1 and header:
                    if tuple(row) != header:
                        raise ManifestError(f"{path}: row 1: the header must be {', '.join(header)}; got {row}")
                    continue
                yield f"{path}: row {number}", row
    except (OSError, ValueError, csv.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a table in UTF-8 ({error})") from error


def _video(text: str, where: str) -> str:
    if _VIDEO_ID.fullmatch(text) is None:
        raise ManifestError(f"{where}: must be a YouTube id of 11 letters, digits, - or _; got {text!r}")
    return text


def _whole(text: str, where: str) -> float:
    if not (text.isascii() and text.isdigit()):
        raise ManifestError(f"{where}: must be a whole number, not negative; got {text!r}")
    return float(text)


def _unique(entries: list[Entry], path: Path) -> list[Entry]:
    seen: set[tuple[str, float]] = set()
    for entry in entries:
        if entry.key in seen:
            raise ManifestError(f"{path}: the clip of {entry.video} at {entry.start_s:g} s must stand there once only")
        seen.add(entry.key)
    return entries
