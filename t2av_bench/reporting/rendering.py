"""A report's page: what the template and the scripts in ``page/`` are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from t2av_bench._version import __version__
from t2av_bench.manifests import Clip
from t2av_bench.pages import render
from t2av_bench.reporting.clips import ClipFacts, SoundFacts
from t2av_bench.reporting.inputs import Inputs
from t2av_bench.reporting.places import clip_folder
from t2av_bench.reporting.selection import Reason
from t2av_bench.reporting.statistics import histogram, label_means, labels_of, short, timing
from t2av_bench.results import Result, Score
from t2av_bench.results.tables import KIND_TITLES, number

GENERATOR = "t2av-bench report"
# Nothing but the report's own files, also fetched whole; the empty icon keeps browsers from asking a server for one.
_POLICY = "img-src 'self' data:; media-src 'self' blob:; connect-src 'self'"
_JUDGED = {"corrected": "corrected", "FD∞": "fd_infinity", "floor": "floor", "vs floor": "floor_score"}
_FAVOURED = ("FAVD", "FAD", "FAVD-b", "event-F1")


def render_report(
    inputs: Inputs,
    chosen: Mapping[str, Sequence[Reason]],
    facts: Mapping[str, ClipFacts],
    remarks: Mapping[tuple[str, int], str],
) -> str:
    """Return the page.

    Parameters
    ----------
    inputs
        What the report is made of.
    chosen
        Clips of the gallery, in order, and why.
    facts
        Of these clips, and of others whose onsets were looked for.
    remarks
        On sounds, by clip id and index of the system.
    """
    data = page_data(inputs, chosen, facts, remarks)
    return render(
        "t2av_bench.reporting",
        ["charts.js", "player.js", "card.js", "gallery.js"],
        policy=_POLICY,
        generator=f"{GENERATOR} {__version__}",
        data=data,
        names=data["systems"],
        manifest=inputs.manifest,
        results=inputs.results,
        protocol=inputs.results[0].protocol,
        tables=[_table(entry.name, entry.result) for entry in inputs.entries],
        together=_together(inputs.results) if len(inputs.entries) > 1 else None,
        troubles=_troubles(inputs, chosen, facts, remarks),
        provenance=[_provenance(result) for result in inputs.results],
        gallery_n=len(chosen),
        scored_n=len(inputs.clips),
        not_comparable=_not_comparable(inputs),
        same_clips=all(len(result.per_clip) == len(inputs.clips) for result in inputs.results),
    )


def page_data(
    inputs: Inputs,
    chosen: Mapping[str, Sequence[Reason]],
    facts: Mapping[str, ClipFacts],
    remarks: Mapping[tuple[str, int], str],
) -> dict[str, Any]:
    """Return what the page's scripts need."""
    names = _per_clip_scores(inputs.results)
    labels = labels_of(inputs.clips)
    clips = {clip.clip_id: clip for clip in inputs.clips}
    first = next((name for name in _FAVOURED if name in names), names[0] if names else None)
    return {
        "systems": [entry.name for entry in inputs.entries],
        "scores": [_score_data(inputs.results, name, labels) for name in names],
        "first": names.index(first) if first is not None else -1,
        "labels": [[label, len(ids)] for label, ids in labels.items()],
        "timing": timing(inputs.events, facts, 1 + len(inputs.entries)),
        "clips": [
            _clip_data(inputs, clips[clip_id], reasons, facts[clip_id], remarks, names, place)
            for place, (clip_id, reasons) in enumerate(chosen.items())
        ],
    }


def _per_clip_scores(results: Sequence[Result]) -> list[str]:
    """Return the scores of which something is known clip by clip."""
    known = {name for result in results for own in result.per_clip.values() for name in own}
    return [name for name in dict.fromkeys(name for result in results for name in result.scores) if name in known]


def _score_data(results: Sequence[Result], name: str, labels: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    score = next(result.scores[name] for result in results if name in result.scores)
    added = [[own[name] for own in result.per_clip.values() if name in own] for result in results]
    values = [[own[name] for own in result.clip_values.values() if name in own] for result in results]
    return {
        "name": name,
        "kind": score.kind,
        "title": KIND_TITLES.get(score.kind, score.kind),
        "high": score.higher_is_better,
        "totals": [
            [short(result.scores[name].value), short(result.scores[name].stderr, 2)] if name in result.scores else None
            for result in results
        ],
        "added": histogram(added),
        "values": histogram(values),
        "labels": [label_means(result, name, labels) for result in results] if labels else [],
    }


def _clip_data(
    inputs: Inputs,
    clip: Clip,
    reasons: Sequence[Reason],
    fact: ClipFacts,
    remarks: Mapping[tuple[str, int], str],
    names: Sequence[str],
    place: int,
) -> dict[str, Any]:
    folder = clip_folder(place)
    places = {name: i for i, name in enumerate(names)}
    events = None if inputs.events is None else inputs.events.get(clip.clip_id)
    return {
        "id": clip.clip_id,
        "caption": clip.caption,
        "labels": [label.strip() for label in clip.labels.split(";") if label.strip()],
        "duration": clip.duration_s,
        "events": None if events is None else [short(float(time_s)) for time_s in events],
        "random": any(reason.kind == "random" for reason in reasons),
        "why": [
            [r.kind, places[r.score], r.system, r.place] for r in reasons if r.kind != "random" and r.score in places
        ],
        "video": _address(folder, fact.video),
        "videoStart": short(fact.video_start_s, 8),
        "still": _address(folder, fact.poster),
        "unseen": fact.video_problem,
        "sounds": [
            _sound_data(folder, sound, remarks.get((clip.clip_id, i - 1), "")) for i, sound in enumerate(fact.sounds)
        ],
        # Contribution and own value of each score, for each system.
        "numbers": [
            [
                [
                    short(result.per_clip.get(clip.clip_id, {}).get(name)),
                    short(result.clip_values.get(clip.clip_id, {}).get(name)),
                ]
                for name in names
            ]
            for result in inputs.results
        ],
    }


def _sound_data(folder: str, sound: SoundFacts, remark: str) -> dict[str, Any]:
    return {
        "file": _address(folder, sound.file),
        "start": short(sound.start_s, 8),
        "picture": _address(folder, sound.picture),
        "rate": sound.sr_hz,
        "channels": sound.channels,
        "peak": short(sound.peak, 3),
        "onsets": None if sound.onsets_s is None else [short(time_s) for time_s in sound.onsets_s],
        "problem": sound.problem,
        "remark": remark,
    }


def _address(folder: str, name: str) -> str:
    return f"{folder}/{quote(name)}" if name else ""


def _not_comparable(inputs: Inputs) -> dict[str, list[str]]:
    """Return what speaks against each system on a leaderboard; under no name if it is the same for all."""
    reasons = {entry.name: entry.result.not_comparable_because for entry in inputs.entries}
    first = inputs.results[0].not_comparable_because
    if all(own == first for own in reasons.values()):
        reasons = {"": first}
    return {name: own for name, own in reasons.items() if own}


def _table(name: str, result: Result) -> dict[str, Any]:
    """Return the rows of a system's table: every score with what is needed to judge it."""
    shown = [
        title for title, field in _JUDGED.items() if any(getattr(s, field) is not None for s in result.scores.values())
    ]
    rows = []
    kind = ""
    for score_name, score in result.scores.items():
        cells = [
            _cell(score.value),
            _cell(score.stderr, 2),
            *(_cell(getattr(score, _JUDGED[title])) for title in shown),
        ]
        cells += [_whole(score.n_clips), _whole(score.n_windows), _whole(score.d), _whole(score.rank)]
        rows.append({"name": score_name, "high": score.higher_is_better, "cells": cells, "title": _new(kind, score)})
        kind = score.kind
    return {"name": name, "head": ["value", "± s.e.", *shown, "clips", "samples", "d", "rank"], "rows": rows}


def _together(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the rows of the table of all systems: value and standard error side by side."""
    rows = []
    kind = ""
    for name in dict.fromkeys(name for result in results for name in result.scores):
        score = next(result.scores[name] for result in results if name in result.scores)
        cells = [
            (_cell(result.scores[name].value), _cell(result.scores[name].stderr, 2)) if name in result.scores else None
            for result in results
        ]
        rows.append({"name": name, "high": score.higher_is_better, "cells": cells, "title": _new(kind, score)})
        kind = score.kind
    return rows


def _new(kind: str, score: Score) -> str:
    return "" if score.kind == kind else KIND_TITLES.get(score.kind, score.kind)


def _cell(value: float | None, digits: int = 4) -> str:
    return "" if value is None else number(value, digits).replace("-", "−")


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def _troubles(
    inputs: Inputs,
    chosen: Mapping[str, object],
    facts: Mapping[str, ClipFacts],
    remarks: Mapping[tuple[str, int], str],
) -> list[tuple[str, str, str]]:
    """List what could not be shown, or is not as it was: clip, what of it, why."""
    names = ["original sound", *(f"sound of {entry.name}" for entry in inputs.entries)]
    found = []
    for clip_id, fact in facts.items():
        if fact.video_problem and clip_id in chosen:
            found.append((clip_id, "pictures", fact.video_problem))
        found += [
            (clip_id, name, sound.problem) for name, sound in zip(names, fact.sounds, strict=True) if sound.problem
        ]
    return found + [(clip_id, names[1 + system], text) for (clip_id, system), text in remarks.items()]


def _provenance(result: Result) -> dict[str, str]:
    facts = {
        "Description": result.system["description"],
        "Created": result.created,
        "t2av-bench": result.tool_version,
        "Clips": f"{result.counts['scored']} of {result.counts['clips']}",
        "Features": f"{result.protocol['features']}, {result.protocol['weights']} weights",
        "Seed": str(result.seed),
        "Command": result.command,
        "Environment": ", ".join(f"{name} {value}" for name, value in sorted(result.environment.items())),
    }
    for part, record in result.extractors.items():
        told = f"{record['name']} version {record['version']}, fingerprint {record['fingerprint']}"
        facts[f"Extractor, {part.replace('_', ' ')}"] = told
    return {name: value for name, value in facts.items() if value}
