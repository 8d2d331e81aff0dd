"""Parts of a manifest: a filtered manifest has its own name and hash, and is not comparable with the full one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from t2av_bench.errors import ManifestError, UsageError
from t2av_bench.manifests.schema import Manifest


def filter_manifest(
    manifest: Manifest,
    name: str,
    *,
    labels: Collection[str] = (),
    sources: Collection[str] = (),
    splits: Collection[str] = (),
    keep: Collection[str] | None = None,
    exclude: Collection[str] = (),
) -> Manifest:
    """Return the clips that meet every condition, in the manifest's order.

    Parameters
    ----------
    manifest
        What to filter.
    name
        Of the result; must differ from the manifest's.
    labels, sources, splits
        A clip must have one of each; empty for any.
    keep
        Clip ids to keep, for instance those whose media is present; None for all.
    exclude
        Clip ids to leave out.

    Raises
    ------
    UsageError
        If a condition names what no clip has, or the name is the manifest's own.
    ManifestError
        If no clip is left.
    """
    if name == manifest.name:
        raise UsageError(f"A part of {manifest.name} needs a name of its own.")
    table = manifest.table
    own_labels = [set(text.split(";")) - {""} for text in table["labels"]]
    _check(labels, set().union(*own_labels), "label", manifest.name)
    _check(sources, set(table["source"]), "source", manifest.name)
    _check(splits, set(table["split"]), "split", manifest.name)
    _check(exclude, set(table["clip_id"]), "clip id", manifest.name)
    wanted, unwanted = set(labels), set(exclude)
    kept = [
        (not wanted or bool(wanted & own))
        and (not sources or source in sources)
        and (not splits or split in splits)
        and (keep is None or clip_id in keep)
        and clip_id not in unwanted
        for own, source, split, clip_id in zip(
            own_labels, table["source"], table["split"], table["clip_id"], strict=True
        )
    ]
    if not any(kept):
        raise ManifestError(f"{manifest.name}: no clip meets all conditions; loosen one")
    part = table[kept].reset_index(drop=True)
    return Manifest(name=name, table=part, licence=manifest.licence, data_dir=manifest.data_dir)


def read_ids(path: str | Path) -> list[str]:
    """Read clip ids, one per line; empty lines and lines that begin with ``#`` are skipped.

    Raises
    ------
    UsageError
        If the file cannot be read as text in UTF-8.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: must be a text file with one clip id per line ({error})") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _check(given: Collection[str], existing: set[str], what: str, name: str) -> None:
    unknown = [value for value in given if value not in existing]
    if unknown:
        some = ", ".join(sorted(existing - {""})[:5])
        raise UsageError(f"No clip of {name} has the {what} {unknown[0]!r}. There are for instance: {some or 'none'}.")
