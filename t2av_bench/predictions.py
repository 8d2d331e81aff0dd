"""Which file is the prediction for which clip: by name, never by order, with every doubt said aloud."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from t2av_bench.errors import Problem, T2AVBenchError, quoted, shown
from t2av_bench.manifests import Clip
from t2av_bench.naming import FilesInFolder, convention_of, is_media

LIST_NAME = "predictions.csv"
_SHOWN = 3


@dataclass(frozen=True)
class Matching:
    """The prediction of each clip, and what stood in the way.

    Attributes
    ----------
    files
        Clip id to file, for the clips that have exactly one.
    problems
        Clips with no file or with several.
    unknown
        Media files that belong to no clip of the manifest; they are not scored.
    """

    files: FilesInFolder
    problems: tuple[Problem, ...]
    unknown: tuple[Path, ...]


def match_predictions(clips: Sequence[Clip], pred_dir: str | Path) -> Matching:
    """Find each clip's prediction in a folder.

    A prediction is a media file whose name without its ending is the clip id, or, where the folder holds a
    ``predictions.csv`` with the columns ``clip_id,path``, the file named there (relative to the folder, inside it).

    Raises
    ------
    T2AVBenchError
        If the folder is missing, holds no media file, or holds none that belongs to the manifest; then the message says
        which naming convention the files seem to follow.
    """
    folder = Path(pred_dir)
    if not folder.is_dir():
        raise T2AVBenchError(f"{folder}: the folder of predictions must exist")
    try:
        listed = (folder / LIST_NAME).is_file()
        found = _listed_files(folder) if listed else _named_files(folder)
    except OSError as error:
        raise T2AVBenchError(f"{folder}: the folder of predictions cannot be read ({error.strerror})") from error
    if not found:
        raise T2AVBenchError(f"{folder}: must hold one media file per clip; found none{_subfolder_hint(folder)}")
    ids = {clip.clip_id for clip in clips}
    if not ids & found.keys():
        raise T2AVBenchError(_nothing_matches(folder, sorted(found), clips, listed))
    # By the manifest's own texts: those of the folder are let go of.
    names = {clip.clip_id: found[clip.clip_id][0] for clip in clips if len(found.get(clip.clip_id, ())) == 1}
    where = folder / LIST_NAME if listed else folder
    problems = [
        _absence(clip.clip_id, found.get(clip.clip_id, []), where, listed)
        for clip in clips
        if clip.clip_id not in names
    ]
    unknown = [folder / path for clip_id, paths in sorted(found.items()) if clip_id not in ids for path in paths]
    return Matching(FilesInFolder(folder, names), tuple(problems), tuple(unknown))


def _named_files(folder: Path) -> dict[str, list[str]]:
    """Return the media files of each name without its ending, as paths from the folder."""
    found = defaultdict(list)
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if is_media(path) and not path.is_dir():
            found[path.stem].append(name)
    return found


def _listed_files(folder: Path) -> dict[str, list[str]]:
    where = folder / LIST_NAME
    found = defaultdict(list)
    try:
        with where.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"clip_id", "path"} <= set(reader.fieldnames or ()):
                names = shown(", ".join(reader.fieldnames or ["none"]), 200)
                raise T2AVBenchError(f"{where}: must have the columns clip_id,path; found {names}")
            for number, row in enumerate(reader, start=2):
                path = PurePosixPath((row["path"] or "").replace("\\", "/"))
                if not row["path"] or path.is_absolute() or ".." in path.parts:
                    raise T2AVBenchError(
                        f"{where}: row {number}: must name a file inside the folder, got {quoted(row['path'])}"
                    )
                found[row["clip_id"] or ""].append(str(path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise T2AVBenchError(f"{where}: must be a CSV file in UTF-8 ({shown(str(error), 200)})") from error
    return found


def _absence(clip_id: str, paths: list[str], where: Path, listed: bool) -> Problem:
    if paths:
        folder = where.parent if listed else where
        names = " and ".join(Path(path).name for path in paths)
        where_found = f"found in {where.name}" if listed else "found"
        reason = f"there must be one prediction for this clip; {where_found}: {names}"
        return Problem(clip_id, "duplicate", str(folder / paths[0]), reason)
    reason = (
        f"the list has no row for {clip_id}"
        if listed
        else f"there is no prediction named {clip_id}.wav (or .flac, .mp3, .mp4, …)"
    )
    return Problem(clip_id, "missing", str(where), reason)


def _subfolder_hint(folder: Path) -> str:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and any(is_media(path) for path in child.iterdir()):
            return f" (there are some in {child}: did you mean that folder?)"
    return ""


def _nothing_matches(folder: Path, stems: list[str], clips: Sequence[Clip], listed: bool) -> str:
    wanted = [clip.clip_id for clip in clips]
    ids = f"such as {_some(stems)}; the manifest's ids are such as {_some(wanted)}."
    if listed:
        return f"{folder / LIST_NAME}: no row is of a clip of the manifest. Found {len(stems)} {ids}"
    message = f"{folder}: no file is named after a clip of the manifest. Found {len(stems)} files {ids}"
    theirs, ours = convention_of(stems), convention_of(wanted)
    if theirs and theirs != ours:
        message += f" The files look like {theirs}"
        message += f", the ids like {ours}." if ours else "."
    return f"{message} Rename the files, or list them in {LIST_NAME} with the columns clip_id,path."


def _some(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:_SHOWN])
