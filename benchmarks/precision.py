"""What a shorter precision of the networks, or their compilation, does to each score.

    python benchmarks/precision.py [--clips 32] [--precision bf16] [--compile] [--media FOLDER] [--device cpu]

Scores a set of clips twice, in float32 and otherwise, and prints both, their difference relative to the first, and how
many standard errors it is. By default clips of the mini world's test split against those with another's noise; with
``--media`` the videos below a folder against their own sound with noise 20 dB below it. The features are the paper's,
with random weights unless ``--weights published``: what random weights show is the size of the rounding, not the
published networks' sensitivity to it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

import t2av_bench as tb
from t2av_bench.manifests import Manifest, load_manifest
from t2av_bench.manifests.mini.predictions import write_prediction_sets
from t2av_bench.media import probe, read_audio


def mini(out: Path, clips_n: int) -> tuple[Manifest, Path]:
    whole = load_manifest("t2av-mini")
    manifest = Manifest("mini, first clips", whole.table.iloc[:clips_n].reset_index(drop=True), data_dir=whole.data_dir)
    return manifest, write_prediction_sets(manifest, out / "preds")["other-noise"]


def real(media: Path, out: Path, clips_n: int) -> tuple[Manifest, Path]:
    rng = np.random.default_rng(0)
    rows = []
    for path in sorted(media.rglob("*.mp4"))[:clips_n]:
        info = probe(path)
        duration_s = min(info.audio_duration_s or 0.0, info.video_duration_s or 0.0, 10.0)
        sound, sr_hz = read_audio(path, duration_s=duration_s)
        noise = 0.1 * np.sqrt((sound**2).mean()) * rng.standard_normal(sound.shape)
        soundfile.write(out / f"{path.stem}.wav", sound + noise, sr_hz, subtype="FLOAT")
        rows.append({"clip_id": path.stem, "media": str(path.relative_to(media)), "caption": "a sound",
                     "duration_s": duration_s})  # fmt: skip
    return Manifest("real clips", pd.DataFrame(rows), data_dir=media), out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--features", default="vggish,c3d,word2vec,panns")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        manifest, preds = mini(out, chosen.clips) if chosen.media is None else real(chosen.media, out, chosen.clips)
        plain, other = (
            tb.evaluate(preds, manifest, features=chosen.features, weights=chosen.weights, device=chosen.device,
                        cache_dir=out / "cache", uncertainty="stderr", **how)
            for how in ({}, {"precision": chosen.precision, "compile": chosen.compile})
        )  # fmt: skip
    what = chosen.precision + (", compiled" if chosen.compile else "")
    print(f"{manifest.name}: {len(manifest)} clips, {chosen.features}, {chosen.weights} weights, {chosen.device}")
    print(f"| score | fp32 | {what} | relative difference | in standard errors |")
    print("|---|---:|---:|---:|---:|")
    for score_name, score in plain.scores.items():
        value = other.scores[score_name].value
        difference = value - score.value
        relative = f"{difference / abs(score.value):+.1e}" if score.value else "—"
        in_errors = f"{difference / score.stderr:+.2f}" if score.stderr else "—"
        print(f"| {score_name} | {score.value:.5g} | {value:.5g} | {relative} | {in_errors} |")


if __name__ == "__main__":
    main()
