"""Manifests by name."""

from __future__ import annotations

from pathlib import Path

from t2av_bench.errors import no_such_name
from t2av_bench.manifests.official import canonical_name, load_official
from t2av_bench.manifests.recipes import ALIASES, RECIPES
from t2av_bench.manifests.schema import Manifest, read_manifest

MINI = "t2av-mini"


def manifest_names() -> list[str]:
    """Return the names :func:`load_manifest` knows."""
    return [MINI, *ALIASES, *RECIPES]


def load_manifest(name_or_path: str | Path) -> Manifest:
    """Load a manifest by name, or from a CSV or JSONL file.

    Parameters
    ----------
    name_or_path
        One of :func:`manifest_names`, or a path that ends in ``.csv`` or ``.jsonl``. ``t2av-mini`` is rendered into
        the home folder on first use; the others are built there from lists that ``t2av-bench download manifests``
        fetches.

    Raises
    ------
    UsageError
        If the name is unknown; names the nearest match.
    ManifestError
        If the file is malformed.
    PrerequisiteError
        If the lists behind a manifest have to be fetched first.

    Warns
    -----
    ManifestWarning
        If the file of a built manifest was changed.
    """
    text = str(name_or_path)
    if Path(text).suffix.lower() in (".csv", ".jsonl"):
        return read_manifest(text)
    if text == MINI:
        from t2av_bench.manifests.mini import load_test_split

        return load_test_split()
    if canonical_name(text) in RECIPES:
        return load_official(text)
    more = ", or the path of a .csv or .jsonl file"
    raise no_such_name(f"There is no manifest named {text!r}", text, manifest_names(), more)
