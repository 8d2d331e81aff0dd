"""Clips per second of ``t2av-bench manifest check``, the whole command with its start, on 2,000 small clips.

    python benchmarks/manifest_check.py

Clips are MP4 files of the mini world (4 s, 25 fps, AAC), 50 of them under 40 names each and of 2,000 sizes, so that
none is another's duplicate. Three runs: headers only, headers again (all remembered), and all sound decoded.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from t2av_bench.manifests import Manifest, write_manifest
from t2av_bench.manifests.mini import render

RENDERED_N, COPIES_N = 50, 40


def multiplied(manifest: Manifest, source: Path, out: Path) -> Path:
    """Write every clip ``COPIES_N`` times, each with another number of bytes in an empty box behind it."""
    import pandas as pd

    tables = []
    for turn in range(COPIES_N):
        table = manifest.table.copy()
        table["clip_id"] = table["clip_id"] + f"-{turn}"
        for i, (media, clip_id) in enumerate(zip(manifest.table["media"], table["clip_id"], strict=True)):
            padding_n = 8 + turn * len(table) + i
            box = padding_n.to_bytes(4, "big") + b"free" + bytes(padding_n - 8)
            (out / f"{clip_id}.mp4").write_bytes((source / media).read_bytes() + box)
        table["media"] = table["clip_id"] + ".mp4"
        tables.append(table)
    path = out / "clips.csv"
    write_manifest(Manifest("clips", pd.concat(tables)), path)
    return path


def seconds(manifest: Path, cache: Path, *options: str) -> float:
    arguments = ["manifest", "check", manifest, "--data-dir", manifest.parent, "--cache-dir", cache, *options]
    start_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "t2av_bench", *map(str, arguments)], check=True, capture_output=True, text=True
    )
    taken_s = time.perf_counter() - start_s
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ok")]
    assert int(line.split()[1]) == RENDERED_N * COPIES_N, done.stdout
    return taken_s


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        rendered = render("train", RENDERED_N, 0, out / "rendered")
        (out / "clips").mkdir()
        manifest = multiplied(rendered, out / "rendered", out / "clips")
        for what, options in (("headers", ()), ("headers again", ()), ("all sound decoded", ("--decode",))):
            taken_s = seconds(manifest, out / "cache", *options)
            print(f"{what:18} {RENDERED_N * COPIES_N / taken_s:7,.0f} clips/s  ({taken_s:.2f} s)")
        shutil.rmtree(out / "clips")


if __name__ == "__main__":
    main()
