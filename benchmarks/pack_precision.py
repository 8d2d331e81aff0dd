"""What a float16 reference pack does to every score, against the same evaluation with media.

    python benchmarks/pack_precision.py [--clips 128] [--media ../shared/media [--longest 10]] [--json FILE]

On the mini world with lite features, over four of its prediction sets; with ``--media``, also on the real clips below
that folder with the networks of ``paper`` and random weights: VGGish, C3D, PANNs and word2vec on their own ranges of
numbers would need the published files. Real clips are scored with noise added, 0.1 s late, and swapped.

For each score the largest change over the sets, as a share of its value and of its standard error (— where it has
none), and whether a float32 pack gives the same bits; then the size of each pack. Changes below 1e-9 count as none.
Last, KAD of more windows than its bandwidth is fitted on: those are drawn by what they hold, so rounding draws others.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

import t2av_bench as tb
from t2av_bench.environment import environment
from t2av_bench.extraction.embedding import halved
from t2av_bench.manifests import Manifest
from t2av_bench.manifests.mini import render
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.media import probe, read_audio
from t2av_bench.metrics import kernel_distance
from t2av_bench.packs.building import build_pack

SETS = ("other-noise", "late-0.5s", "swapped", "noise")


def mini_world(out: Path, clips_n: int) -> tuple[Manifest, dict[str, Path]]:
    manifest = render("test", clips_n, 0, out / "data", progress=False)
    sets = write_prediction_sets(manifest, out / "preds")
    return manifest, {name: sets[name] for name in SETS}


def real_clips(media: Path, longest_s: float, out: Path) -> tuple[Manifest, dict[str, Path]]:
    files = sorted(media.rglob("*.mp4"))
    infos = [probe(path) for path in files]
    durations_s = [math.floor(min(info.audio_duration_s or 0, info.video_duration_s or 0, longest_s)) for info in infos]
    table = pd.DataFrame(
        {
            "clip_id": [path.stem for path in files],
            "media": [str(path.relative_to(media)) for path in files],
            "caption": [path.stem.split("_")[0] or "a sound" for path in files],
            "duration_s": [float(duration_s) for duration_s in durations_s],
        }
    )
    sounds = [read_audio(path) for path in files]
    rng = np.random.default_rng(0)
    for name in ("noisy", "late", "swapped"):
        (out / name).mkdir(parents=True)
        for i, path in enumerate(files):
            longest = max((other for other in range(len(files)) if other != i), key=lambda j: _length(sounds[j], i + j))
            samples, sr_hz = sounds[longest if name == "swapped" else i]
            if name == "noisy":
                samples = samples + 0.05 * rng.standard_normal(samples.shape)
            if name == "late":
                samples = np.concatenate([np.zeros((sr_hz // 10, samples.shape[1])), samples])
            soundfile.write(out / name / f"{path.stem}.wav", samples, sr_hz, subtype="FLOAT")
    return Manifest("real-clips", table, data_dir=media), {name: out / name for name in ("noisy", "late", "swapped")}


def _length(sound: tuple[np.ndarray, int], tie: int) -> tuple[float, int]:
    """Long sounds first, another one for each clip among those as long."""
    return round(len(sound[0]) / sound[1]), tie % 7


def compared(manifest: Manifest, sets: dict[str, Path], out: Path, **options: Any) -> dict[str, Any]:
    """Score every set with media and with either pack."""
    options |= {"cache_dir": out / "cache", "progress": False}
    packs = {d: build_pack(out / f"{d}.pack", manifest, dtype=d, **options) for d in ("float16", "float32")}  # type: ignore[arg-type]
    rows: dict[str, dict[str, Any]] = {}
    for preds in sets.values():
        exact = tb.evaluate(preds, manifest, **options)
        half, single = (tb.evaluate(preds, manifest, reference_pack=packs[d].path, **options) for d in packs)
        for name, score in exact.scores.items():
            change = abs(half.scores[name].value - score.value)
            row = rows.setdefault(name, {"of_value": 0.0, "of_stderr": None, "float32_same_bits": True})
            change = change if change > 1e-9 else 0.0
            row["of_value"] = max(row["of_value"], change / max(abs(score.value), 1e-9))
            if score.stderr:
                row["of_stderr"] = max(row["of_stderr"] or 0.0, change / score.stderr)
            row["float32_same_bits"] &= single.scores[name] == score
    return {
        "clips": len(manifest),
        "sets": list(sets),
        "rounding": {name: e["rounding"] for name, e in packs["float16"].record["extractors"].items()},
        "bytes": {dtype: pack.path.stat().st_size for dtype, pack in packs.items()},
        "scores": rows,
    }


def drawn_bandwidth(windows_n: int = 8000, dim: int = 64, draws_n: int = 5) -> float:
    """Return the largest relative change of KAD when both sides are rounded, over sets of random windows."""
    changes = []
    for seed in range(draws_n):
        rng = np.random.default_rng(seed)
        scale = np.exp(-np.arange(dim) / 12.0)
        sides = [rng.normal(mean, spread, (windows_n, dim)) * scale for mean, spread in ((0.0, 1.0), (0.03, 1.05))]
        exact = [side.astype(np.float32) for side in sides]
        clips = np.arange(windows_n) // 10
        values = [kernel_distance(*pair, clips=(clips, clips)).value for pair in (exact, [halved(x) for x in exact])]
        changes.append(abs(values[1] / values[0] - 1.0))
    return max(changes)


def printed(title: str, found: dict[str, Any]) -> None:
    print(f"\n{title}: {found['clips']} clips, sets {', '.join(found['sets'])}")
    print(f"{'score':12} {'of value':>10} {'of stderr':>10}  float32")
    for name, row in found["scores"].items():
        same = "same bits" if row["float32_same_bits"] else "DIFFERS"
        of_stderr = "—" if row["of_stderr"] is None else f"{row['of_stderr']:.1e}"
        print(f"{name:12} {row['of_value']:10.1e} {of_stderr:>10}  {same}")
    sizes = ", ".join(f"{dtype} {bytes_n / 1e6:.2f} MB" for dtype, bytes_n in found["bytes"].items())
    worst = max(found["rounding"].values())
    print(f"packs: {sizes}; float16 rounds by up to {worst:.1e} of the features' spread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128, help="of the mini world")
    parser.add_argument("--media", type=Path, help="folder of real clips (.mp4)")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds of a real clip at most")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        found["mini world, lite"] = compared(*mini_world(out / "mini", options.clips), out / "mini", features="lite")
        printed("mini world, lite", found["mini world, lite"])
        if options.media:
            title = "real clips, paper with random weights"
            world = real_clips(options.media, options.longest, out / "real")
            found[title] = compared(*world, out / "real", features="paper", weights="random")
            printed(title, found[title])
    found["KAD of 8,000 random windows, of value"] = changed = drawn_bandwidth()
    print(f"\nKAD of 8,000 random windows: changes by up to {changed:.1e} of its value")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {"environment": environment("cpu"), "float16_against_media": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
