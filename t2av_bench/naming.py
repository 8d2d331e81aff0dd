"""The file-name conventions of this field, and finding a clip's media under any of them.

==============================  ===========================  ==================
convention                      example                      used by
==============================  ===========================  ==================
``<id>_<start ms>_<end ms>``    ``7tMPoaU2oL4_0_10000``      copies of VGGSound
``<id>_<start s, 6 digits>``    ``7tMPoaU2oL4_000000``       VGGSound's lists
``<id>_<start>_<end>``          ``AP0061o0Nvk_101.8_111.8``  LLP
``<id>_<start>``                ``7tMPoaU2oL4_30``           copies of AudioCaps
``Y<id>``                       ``Y7tMPoaU2oL4``             copies of AudioSet
==============================  ===========================  ==================

The last tells no start, so it is taken only where a list has a single clip of the video. A bare ``<id>`` never is: it
names the whole video as often as a clip cut out of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from t2av_bench.errors import Problem, T2AVBenchError, UsageError
from t2av_bench.files import is_temporary
from t2av_bench.manifests import Clip, Manifest

_AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".au", ".w64")
_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".avi", ".mkv", ".mpg", ".mpeg", ".ts")
MEDIA_SUFFIXES = frozenset(_AUDIO_SUFFIXES + _VIDEO_SUFFIXES)


class _Convention(NamedTuple):
    pattern: re.Pattern[str]
    description: str
    start_unit_s: float


# A YouTube id has 11 characters, among them `_` and `-`, so the id must be taken by length and not up to a `_`.
# In the order of being tried: an end of four or more digits cannot be seconds of a clip list in practice.
_CONVENTIONS = (
    _Convention(re.compile(r"(?P<id>.{11})_(?P<start>\d+)_(?P<end>\d{4,})$"), "<id>_<start ms>_<end ms>", 1e-3),
    _Convention(re.compile(r"(?P<id>.{11})_(?P<start>\d{6})$"), "<id>_<start s, 6 digits>", 1.0),
    _Convention(re.compile(r"(?P<id>.{11})_(?P<start>\d+(\.\d+)?)_(?P<end>\d+(\.\d+)?)$"), "<id>_<start>_<end>", 1.0),
    _Convention(re.compile(r"(?P<id>.{11})_(?P<start>\d{1,5})$"), "<id>_<start>", 1.0),
)
_VIDEO_ONLY = re.compile(r"Y(?P<id>.{11})$")


def is_media(path: Path) -> bool:
    """Whether a file's ending is one of sound or video; false for other systems' shadow files and unfinished ones."""
    return path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith("._") and not is_temporary(path)


def convention_of(stems: Iterable[str]) -> str | None:
    """Return the naming convention that more than half of the names follow, None if there is none."""
    counts: dict[str, int] = {}
    total = 0
    for total, stem in enumerate(stems, start=1):  # noqa: B007 - the count is wanted after the loop
        for convention in _CONVENTIONS:
            if convention.pattern.match(stem):
                counts[convention.description] = counts.get(convention.description, 0) + 1
                break
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best is not None and 2 * counts[best] > total else None


def parse_clip_name(stem: str) -> tuple[str, float] | None:
    """Return (video id, start in seconds) of a name in one of the known conventions, else None."""
    for convention in _CONVENTIONS:
        match = convention.pattern.match(stem)
        if match:
            return match["id"], round(float(match["start"]) * convention.start_unit_s, 3)
    return None


def media_folder(manifest: Manifest, data_dir: str | Path | None) -> Path:
    """Return the folder of a manifest's media: the one given, or the one it knows.

    Raises
    ------
    UsageError
        If there is neither.
    """
    folder = data_dir or manifest.data_dir
    if folder is None:
        raise UsageError(f"the manifest {manifest.name} needs the folder of its media: --data-dir (data_dir=...)")
    return Path(folder)


class FilesInFolder(Mapping[str, Path]):
    """Clip id to file, of files inside one folder.

    Paths are made when asked for: with all that a `Path` remembers of itself, one takes half a kilobyte.

    Parameters
    ----------
    folder
        The folder.
    names
        Clip id to the file's path from there.
    """

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self._folder, self._names = folder, names

    def __getitem__(self, clip_id: str) -> Path:
        return self._folder / self._names[clip_id]

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def locate_media(clips: Sequence[Clip], data_dir: str | Path) -> tuple[FilesInFolder, list[Problem]]:
    """Find each clip's media in the data folder.

    The path in the manifest wins; else a media file in the same folder or directly in the data folder whose name is
    the clip's id or names the same video and start in another convention.

    Returns
    -------
    files : FilesInFolder
        Clip id to path.
    problems
        One for each clip whose media is missing.

    Raises
    ------
    T2AVBenchError
        If the folder does not exist.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise T2AVBenchError(f"{folder}: the data folder must exist; give it with --data-dir (data_dir=...)")
    names = {clip.clip_id: clip.media for clip in clips if (folder / clip.media).is_file()}
    absent = [clip for clip in clips if clip.clip_id not in names]
    shelves: dict[Path, _Shelf] = {}
    videos = Counter(key[0] for clip in clips if (key := parse_clip_name(clip.clip_id)))
    problems: list[Problem] = []
    for clip in absent:
        for place in dict.fromkeys(((folder / clip.media).parent, folder)):
            if place not in shelves:
                shelves[place] = _Shelf(place)
            found = shelves[place].find(clip, videos)
            if found is not None:
                names[clip.clip_id] = str(found.relative_to(folder))
                break
        else:
            reason = "the reference media is missing (looked for this path and for the known naming conventions)"
            problems.append(Problem(clip.clip_id, "missing_reference", str(folder / clip.media), reason))
    return FilesInFolder(folder, names), problems


class _Shelf:
    """The media files of one folder, by everything their names tell."""

    def __init__(self, folder: Path) -> None:
        present = [path for path in sorted(folder.iterdir()) if is_media(path)] if folder.is_dir() else []
        self._by_stem = {path.stem: path for path in present}
        self._by_start = {key: path for path in present if (key := parse_clip_name(path.stem))}
        self._by_video = {match["id"]: path for path in present if (match := _VIDEO_ONLY.match(path.stem))}

    def find(self, clip: Clip, videos: Mapping[str, int]) -> Path | None:
        """Return a clip's file; ``videos`` tells how many clips of each video the list has."""
        found = self._by_stem.get(clip.clip_id) or self._by_stem.get(Path(clip.media).stem)
        key = parse_clip_name(clip.clip_id)
        if found is None and key is not None:
            found = self._by_start.get(key)
            if found is None and videos[key[0]] == 1:
                found = self._by_video.get(key[0])
        return found
