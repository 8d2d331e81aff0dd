"""A reference pack in the place of media: the reference side of an evaluation, read instead of embedded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache
from t2av_bench.errors import PackError, Problem, UsageError, shown
from t2av_bench.extraction.checking import CheckReport, FileNeed
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.manifests import Clip, Manifest
from t2av_bench.metrics import METRICS
from t2av_bench.models.extractors import ClipSource, Extractor
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.predictions import Matching
from t2av_bench.protocol import PRESETS, Protocol

_PREFIX = "pack/"


class PackCache(EmbeddingCache):
    """A cache whose entries of the reference are those of a pack; all others are in the folder.

    Their keys are places in the pack and no hashes of content, so that no prediction is ever answered from it.
    """

    def __init__(self, folder: str | Path, pack: ReferencePack) -> None:
        super().__init__(folder)
        self.pack = pack

    @staticmethod
    def key_of(extractor: str, place: int) -> str:
        """Return the key of a clip's embeddings in the pack."""
        return f"{_PREFIX}{place}/{extractor}"

    def holds(self, key: str, shape: tuple[int, int]) -> bool:
        """Tell whether there is an entry."""
        return self.load(key, shape) is not None if key.startswith(_PREFIX) else super().holds(key, shape)

    def load(self, key: str, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
        """Return an entry, of the pack or of the folder, or None if there is none that can be used."""
        if not key.startswith(_PREFIX):
            return super().load(key, shape)
        place, _, extractor = key.removeprefix(_PREFIX).partition("/")
        found = self.pack.rows(extractor, int(place))
        return found if found.shape == shape else None


class PackReferences:
    """The reference side of an evaluation whose embeddings are in a pack.

    Parameters
    ----------
    pack
        A pack of the evaluation's manifest.
    clips
        The manifest's clips.
    extractors
        By part; the pack must hold what these would give.

    Attributes
    ----------
    problems
        One for each clip that the pack lacks.

    Raises
    ------
    PackError
        If the pack is of other extractors, or its clips are not the manifest's.
    """

    def __init__(self, pack: ReferencePack, clips: Sequence[Clip], extractors: Mapping[str, Extractor]) -> None:
        self._pack = pack
        self._places = {clip.clip_id: place for place, clip in enumerate(pack.clips)}
        check_clips(pack, clips)
        check_extractors(pack, extractors.values())
        reason = "the reference pack holds no such clip"
        self.problems = [
            Problem(clip.clip_id, "missing_reference", "", reason) for clip in clips if clip.clip_id not in self._places
        ]

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._places

    def needs(self, clip: Clip, extractors: Mapping[str, Extractor]) -> list[FileNeed]:
        """Return which files must be read: none."""
        return []

    def jobs(self, clip: Clip, checked: CheckReport, extractors: Mapping[str, Extractor]) -> dict[str, EmbeddingJob]:
        """Return where in the pack the embeddings of each part are."""
        source = ClipSource(self._pack.path, clip.start_s, clip.duration_s, clip.caption)
        place = self._places[clip.clip_id]
        return {
            part: EmbeddingJob(PackCache.key_of(extractor.name, place), extractor, source, stored=True)
            for part, extractor in extractors.items()
        }

    def beside(self, job: EmbeddingJob) -> EmbeddingJob:
        """Round what the pack's own embeddings are rounded to: a copy of the real sound must score as one."""
        return replace(job, half=self._pack.record["extractors"][job.extractor.name]["dtype"] == "float16")

    def uncaptioned(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """Return the clips whose captions must be embedded: none."""
        return []

    def reported(self, checked: CheckReport, matching: Matching) -> CheckReport:
        """Add to a report what was found in the reference's files when the pack was built."""
        matched = [clip for clip in self._pack.clips if clip.clip_id in matching.files]
        return replace(
            checked,
            padded=checked.padded + [clip.clip_id for clip in matched if clip.padded],
            silent=checked.silent + [clip.clip_id for clip in matched if clip.silent],
        )


def open_for(
    path: str | Path, benchmark: Manifest, data_dir: str | Path | None, cache: EmbeddingCache
) -> ReferencePack:
    """Open the pack of a manifest for an evaluation.

    Raises
    ------
    UsageError
        If there is a folder of media, too.
    PackError
        If it is no usable pack, or of another manifest.
    """
    if data_dir is not None:
        raise UsageError("the reference is either media or a pack: leave out --data-dir or --reference-pack")
    pack = ReferencePack.open(path, cache)
    check_manifest(pack, benchmark)
    return pack


def packed_features(pack: ReferencePack) -> str | None:
    """Return the feature preset whose sound features a pack holds; None if it holds those of none."""
    return next((name for name, parts in PRESETS.items() if parts["audio"] in pack.record["extractors"]), None)


def packed_choices(
    choices: Protocol, pack: ReferencePack, asked: Collection[str] | None
) -> tuple[Protocol, dict[str, str]]:
    """Return the protocol without the scores that the pack has no features for, and why each of these is absent.

    Raises
    ------
    PackError
        If such a score was asked for by name.
    """
    lacking = {part: name for part, name in choices.extractors.items() if name not in pack.record["extractors"]}
    specs = METRICS if choices.preset is None else choices.preset.specs
    absent = {
        metric: f"the reference pack holds no {lacking[part]} features"
        for metric in choices.metrics
        for part in specs[metric].blocks
        if part in lacking
    }
    for metric in choices.metrics:
        if metric in absent and (asked or len(absent) == len(choices.metrics)):
            held = ", ".join(shown(name) for name in pack.record["extractors"])
            raise PackError(pack.path, f"{metric} cannot be computed: {absent[metric]}; it holds {held}")
    kept = tuple(metric for metric in choices.metrics if metric not in absent)
    needed = {part for metric in kept for part in specs[metric].blocks}
    used = {part: name for part, name in choices.extractors.items() if part in needed}
    return replace(choices, metrics=kept, extractors=used), absent


def check_manifest(pack: ReferencePack, benchmark: Manifest) -> None:
    """Raise a PackError if a pack is of another manifest."""
    of = pack.record["manifest"]
    if of["sha256"] != benchmark.sha256:
        raise PackError(
            pack.path,
            f"is a pack of the manifest {shown(of['name'])} version {shown(of['version'])}"
            f" ({of['sha256'][:8]}…), not of {benchmark.name} version {benchmark.version} ({benchmark.sha256[:8]}…)",
        )


def check_clips(pack: ReferencePack, clips: Sequence[Clip]) -> None:
    """Raise a PackError if a pack's clips are not clips of the manifest, in its order."""
    known = {clip.clip_id: (place, clip) for place, clip in enumerate(clips)}
    last = -1
    for packed in pack.clips:
        place, clip = known.get(packed.clip_id, (-1, None))
        times = (packed.start_s, packed.duration_s)
        if clip is None or place <= last or times != (round(clip.start_s, 6), round(clip.duration_s, 6)):
            raise PackError(pack.path, f"its clip {shown(packed.clip_id)} is not the manifest's at this place")
        last = place


def check_extractors(pack: ReferencePack, extractors: Collection[Extractor]) -> None:
    """Raise a PackError if a pack's embeddings are not those that these extractors would give, or not as many."""
    for extractor in {extractor.name: extractor for extractor in extractors}.values():
        reason = extractor_difference(pack.record["extractors"].get(extractor.name), extractor)
        reason = reason or rows_difference(pack, extractor)
        if reason:
            raise PackError(pack.path, reason)


def extractor_difference(stored: Mapping[str, Any] | None, extractor: Extractor) -> str:
    """Return in what an extractor's record in a pack differs from the extractor here; empty if in nothing."""
    name = extractor.name
    if stored is None:
        return f"it holds no {name} features"
    if stored["fingerprint"] == extractor.fingerprint:
        same = (stored["dim"], stored["unit"]) == (extractor.dim, extractor.unit)
        return "" if same else f"its record of {name} contradicts itself"
    if stored["version"] != extractor.version:
        return (
            f"its {name} features are of version {stored['version']}; this t2av-bench has version {extractor.version}"
        )
    if stored["weights_sha256"] != extractor.weights_sha256:
        theirs, ours = ((sha256 or "none")[:8] for sha256 in (stored["weights_sha256"], extractor.weights_sha256))
        return f"its {name} features are of other weights: SHA-256 {theirs}…, here {ours}…"
    here = extractor.options()
    odd = sorted(key for key in {*stored["options"], *here} if stored["options"].get(key) != here.get(key))
    if odd:
        theirs, ours = (shown(repr(options.get(odd[0]))) for options in (stored["options"], here))
        return f"its {name} features are of another {shown(odd[0])}: {theirs}, here {ours}"
    return f"its {name} features are of another fingerprint than this installation's"


def rows_difference(pack: ReferencePack, extractor: Extractor) -> str:
    """Return which clip has another number of rows than an extractor gives; empty if none has."""
    expected: dict[float, int] = {}
    for clip, found in zip(pack.clips, pack.rows_n(extractor.name).tolist(), strict=True):
        if clip.duration_s not in expected:
            expected[clip.duration_s] = extractor.rows_n(clip.duration_s)
        if found != expected[clip.duration_s]:
            return (
                f"it has {found} rows of {extractor.name} for the clip {shown(clip.clip_id)}, whose duration"
                f" {clip.duration_s:g} s asks for {expected[clip.duration_s]}"
            )
    return ""
