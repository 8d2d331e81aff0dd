"""What a result says about itself: its manifest, its extractors, and what a reader should know."""

from __future__ import annotations

from typing import Any

from t2av_bench.extraction.checking import CheckReport
from t2av_bench.manifests import Manifest
from t2av_bench.models.extractors import Extractor
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.predictions import Matching
from t2av_bench.protocol import Protocol


def manifest_record(benchmark: Manifest) -> dict[str, Any]:
    """Return what a result says of the manifest."""
    return {
        "name": benchmark.name,
        "version": benchmark.version,
        "sha256": benchmark.sha256,
        "licence": benchmark.licence,
        "official": benchmark.official,
        "clips": len(benchmark),
    }


def extractor_record(extractor: Extractor) -> dict[str, Any]:
    """Return what a result says of an extractor."""
    return {
        "name": extractor.name,
        "version": extractor.version,
        "dim": extractor.dim,
        "unit": extractor.unit,
        "fingerprint": extractor.fingerprint,
        "weights_sha256": extractor.weights_sha256,
        "options": extractor.options(),
    }


def pack_record(pack: ReferencePack) -> dict[str, Any]:
    """Return what a result says of the pack that its reference was read from."""
    return {"name": pack.path.name, "sha256": pack.sha256, "dtype": pack.record["dtype"]}


def pack_notes(pack: ReferencePack | None) -> list[str]:
    """Say that the reference is a pack, and what its number format does to it."""
    if pack is None:
        return []
    rounding = max(extractor["rounding"] for extractor in pack.record["extractors"].values())
    effect = f": rounded by up to {rounding:.1e} of the features' spread" if rounding else ", as from media"
    return [
        f"the reference's embeddings are those of the pack {pack.path.name} (SHA-256 {pack.sha256[:8]}…),"
        f" in {pack.record['dtype']}{effect}"
    ]


def not_comparable_reasons(
    benchmark: Manifest,
    protocol: Protocol,
    extractors: dict[str, Extractor],
    scored_n: int,
    clips_n: int,
    *,
    own_captions: bool,
) -> list[str]:
    """List what speaks against putting the result beside others on a leaderboard.

    ``own_captions`` says whether other captions than the manifest's stand on the generated side.
    """
    reasons = []
    if protocol.preset is not None:
        reasons.append(f"the protocol is that of {protocol.preset.project}, not t2av-bench/1")
    elif protocol.features != "paper":
        reasons.append(f"the features are {protocol.features}, not paper")
    reasons += dict.fromkeys(extractor.not_comparable for extractor in extractors.values() if extractor.not_comparable)
    if protocol.pooling != "window":
        reasons.append(f"the pooling is {protocol.pooling}, not window")
    if not benchmark.official:
        reasons.append(f"the manifest {benchmark.name} is the user's own")
    reasons += filter(None, [incomplete(scored_n, clips_n)])
    return reasons + (["the generated side has other captions"] if own_captions else [])


def incomplete(scored_n: int, clips_n: int) -> str:
    """Return why a result that leaves clips out is not comparable; empty if it leaves none out."""
    return f"incomplete: {clips_n - scored_n} of {clips_n} clips were left out" if scored_n < clips_n else ""


def file_counts(clips_n: int, scored_n: int, matching: Matching, checked: CheckReport) -> dict[str, int]:
    """Return how many clips there are and are scored, and how many files were unusual."""
    return {
        "clips": clips_n,
        "scored": scored_n,
        "unknown_files": len(matching.unknown),
        "padded_files": checked.padded_n,
        "silent_references": checked.silent_n,
    }


def file_notes(matching: Matching, checked: CheckReport) -> list[str]:
    """Say what was unusual about the files and did not stop the evaluation."""
    notes = []
    if matching.unknown:
        names = ", ".join([path.name for path in matching.unknown[:3]] + ["…"] * (len(matching.unknown) > 3))
        notes.append(f"{len(matching.unknown)} files belong to no clip of the manifest and were not scored: {names}")
    if checked.padded_n:
        notes.append(f"{checked.padded_n} files were up to 0.1 s short and were padded with zeros")
    if checked.silent_n:
        notes.append(f"{checked.silent_n} reference clips are digitally silent")
    return notes


def protocol_notes(protocol: Protocol) -> list[str]:
    """Say of another toolkit's protocol whose numbers these are, and what is odd about them."""
    return [] if protocol.preset is None else protocol.preset.notes


def not_offered(protocol: Protocol) -> dict[str, str]:
    """Return the scores that the other toolkit has and a preset cannot compute, each with its reason."""
    return {} if protocol.preset is None else dict(protocol.preset.absent)
