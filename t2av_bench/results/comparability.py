"""Which results may be set against each other: everything that decides what a score means must be equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from t2av_bench.errors import ComparisonError, UsageError, check_names, no_such_name
from t2av_bench.metrics import METRICS
from t2av_bench.results.result import Result

_SHOWN = 3
# Settings of a score that decide its value; others are found in the data, such as what it is for shuffled pairs.
_CHOICES = ("null", "draws", "seed", "splits", "k", "bandwidth_rows", "bandwidth_seed", "tolerance_s", "max_offset_s")


class Entry(NamedTuple):
    """A result under the name that a comparison calls it by.

    Attributes
    ----------
    name
        The system's name, with the file's where several results have the same.
    file
        Where the result was read from, empty for one made here.
    result
        With its contributions of clips.
    """

    name: str
    file: str
    result: Result


def load_entries(results: Sequence[str | Path | Result], *, per_clip: bool = True) -> list[Entry]:
    """Read results and give each a name of its own.

    Parameters
    ----------
    results
        Result files, or results with contributions of clips.
    per_clip
        Whether the contributions are needed.

    Raises
    ------
    ResultError
        If a file cannot be read, or its table of clips is missing or of another run.
    ComparisonError
        If a result has no contributions, or two cannot be told apart.
    """
    files = ["" if isinstance(given, Result) else str(given) for given in results]
    loaded = [given if isinstance(given, Result) else Result.load(given, per_clip=per_clip) for given in results]
    names = [result.system["name"] for result in loaded]
    counts = Counter(names)
    names = [f"{name} ({file})" if counts[name] > 1 and file else name for name, file in zip(names, files, strict=True)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ComparisonError(
            f"each result must have a name of its own; {twice[0]!r} stands there twice (evaluate with --system NAME)"
        )
    for name, result in zip(names, loaded, strict=True):
        if per_clip and not result.per_clip:
            raise ComparisonError(f"{name}: holds no contributions of clips; load it with per_clip=True")
    return [Entry(*row) for row in zip(names, files, loaded, strict=True)]


def systems_record(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return what a comparison says of its systems."""
    return [
        {"name": entry.name, "file": entry.file, "description": entry.result.system["description"]} for entry in entries
    ]


def check_confidence(confidence: float) -> None:
    """Hold the probability of intervals to a range that makes sense.

    Raises
    ------
    UsageError
        If it is below one half, or one or more.
    """
    if not 0.5 <= confidence < 1.0:
        raise UsageError(f"confidence must be from 0.5 to below 1; got {confidence:g}")


def shared_scores(entries: Sequence[Entry], chosen: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the scores that all results have, and why the others do not count.

    Raises
    ------
    UsageError
        If a chosen score is in no result.
    """
    check_names(chosen, "metrics")
    everywhere = list(dict.fromkeys(name for entry in entries for name in entry.result.scores))
    known = list(dict.fromkeys([*everywhere, *(name for entry in entries for name in entry.result.absent)]))
    for name in chosen or ():
        if name not in known:
            raise no_such_name(f"There is no score named {name!r} in the results", name, everywhere)
    shared, reasons = [], {}
    for name in known if chosen is None else dict.fromkeys(chosen):
        lacking = next((entry for entry in entries if name not in entry.result.scores), None)
        if lacking is None:
            shared.append(name)
        else:
            reasons[name] = f"{lacking.name} has none: {lacking.result.absent.get(name, 'it was not computed')}"
    return shared, reasons


def check_comparable(entries: Sequence[Entry], scores: Sequence[str], *, same_clips: bool) -> None:
    """Refuse results of which anything that decides the scores differs.

    Parameters
    ----------
    entries
        Two or more.
    scores
        The scores to be compared; only their extractors and versions matter.
    same_clips
        Whether the scored clips must be the same, and the reference the same to the last bit: for paired tests.

    Raises
    ------
    ComparisonError
        Naming everything that differs from the first result.
    """
    first = entries[0]
    differing = [
        f"{first.name} and {other.name}: {reason}"
        for other in entries[1:]
        for reason in _differences(first.result, other.result, scores, same_clips)
    ]
    if differing:
        listed = "\n".join(f"  {reason}" for reason in differing)
        raise ComparisonError(f"the results cannot be compared:\n{listed}\nEvaluate the systems in the same way.")


def find_entry(entries: Sequence[Entry], name: str) -> Entry:
    """Return the entry of this name or file.

    Raises
    ------
    UsageError
        If there is none.
    """
    for entry in entries:
        if name == entry.name or (entry.file and Path(entry.file) == Path(name)):
            return entry
    named = [entry for entry in entries if entry.result.system["name"] == name]
    if len(named) > 1:
        raise UsageError(f"several results are of {name!r}; give one of {', '.join(entry.name for entry in named)}")
    raise no_such_name(f"There is no result named {name!r}", name, [entry.name for entry in entries])


def _differences(first: Result, other: Result, scores: Sequence[str], same_clips: bool) -> Iterable[str]:
    yield from _manifest_differences(first.manifest, other.manifest)
    yield from _protocol_differences(first.protocol, other.protocol)
    parts = {part for name in scores if name in METRICS for part in METRICS[name].blocks}
    for part in sorted(parts & first.extractors.keys() & other.extractors.keys()):
        yield from _extractor_differences(part, first.extractors[part], other.extractors[part])
    for name in scores:
        ours, theirs = first.scores[name], other.scores[name]
        if ours.version != theirs.version:
            yield f"{name} is of version {ours.version} and {theirs.version}"
        if (ours.kind, ours.higher_is_better) != (theirs.kind, theirs.higher_is_better):
            yield f"{name} is of another kind in the second"
        if _choices(ours.settings) != _choices(theirs.settings):
            yield f"the settings of {name} are {_choices(ours.settings)} and {_choices(theirs.settings)}"
    if same_clips:
        yield from _clip_differences(first, other)
        yield from _reference_differences(first, other)


def _manifest_differences(first: dict[str, Any], other: dict[str, Any]) -> Iterable[str]:
    if first["sha256"] != other["sha256"]:
        spoken = [
            f"{m['name']} version {m['version']} ({m['clips']} clips, {m['sha256'][:8]}…)" for m in (first, other)
        ]
        yield f"the manifests are {' and '.join(spoken)}"


def _protocol_differences(first: dict[str, Any], other: dict[str, Any]) -> Iterable[str]:
    # What the features are is told by the extractors, the names of presets may differ; a name says what it reproduces.
    for key in dict.fromkeys([*first, *other]):
        if key not in ("features", "extractors", "reproduces") and first.get(key) != other.get(key):
            what = "protocols" if key == "name" else key.replace("_", " ")
            yield f"the {what} {'are' if what.endswith('s') else 'is'} {first.get(key)} and {other.get(key)}"


def _extractor_differences(part: str, first: dict[str, Any], other: dict[str, Any]) -> Iterable[str]:
    if first["fingerprint"] == other["fingerprint"]:
        return
    spoken = [f"{extractor['name']} version {extractor['version']}" for extractor in (first, other)]
    if first["weights_sha256"] != other["weights_sha256"]:
        yield f"the {part} features are of {' and '.join(spoken)} with other weights"
    else:
        how = "" if spoken[0] != spoken[1] else " with other options"
        yield f"the {part} features are of {' and '.join(spoken)}{how}"


def _clip_differences(first: Result, other: Result) -> Iterable[str]:
    for has, lacks, what in ((first, other, "first"), (other, first, "second")):
        only = [clip_id for clip_id in has.per_clip if clip_id not in lacks.per_clip]
        if only:
            more = ", …" if len(only) > _SHOWN else ""
            yield f"{len(only)} clips are scored in the {what} alone: {', '.join(only[:_SHOWN])}{more}"


def _reference_differences(first: Result, other: Result) -> Iterable[str]:
    """Yield where references are rounded differently: it is less than a score's error, but may be more than a pair's.

    Media, and every pack in float32, give the same bits.
    """
    rounded = [
        result.reference_pack if result.reference_pack and result.reference_pack["dtype"] == "float16" else None
        for result in (first, other)
    ]
    hashes = [pack["sha256"] if pack else "" for pack in rounded]
    if hashes[0] != hashes[1]:
        spoken = [f"the float16 pack {sha256[:8]}…" if sha256 else "exact numbers" for sha256 in hashes]
        yield f"the reference is read from {' and '.join(spoken)}"


def _choices(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in _CHOICES if name in settings}
