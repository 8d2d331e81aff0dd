"""FAD with VGGish over WAV files of 44.1 kHz: our whole command from a cold cache, and other tools' own loops."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from machine import installed
from tables import row

SR_HZ = 44_100
PEERS = {
    "frechet-audio-distance": "frechet-audio-distance, its own loop",
    "torchvggish": "torchvggish, one file at a time",
    "torch-fidelity": "torch-fidelity's loop, torchvggish's front end",
}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    here = {name: what for name, what in PEERS.items() if installed(name)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, chosen.files, chosen.peer_files, chosen.seconds)
        precisions = ("fp32", "bf16") if has_precision() else ("fp32",)
        times: dict[str, list[float]] = {what: [] for what in (*precisions, *here)}
        peers = {name: Peer(name, folder / "few") for name in here}
        try:
            for run in range(chosen.runs):
                for precision in precisions:
                    times[precision].append(command(folder / "all", precision, len(precisions) > 1)[0])
                for name, peer in peers.items():
                    times[name].append(peer.run())
                print(f"  round {run + 1} of {chosen.runs}", file=sys.stderr, flush=True)
            values = {name: peer.value for name, peer in peers.items()}
            once_s = {name: peer.distance_s for name, peer in peers.items()}
        finally:
            for peer in peers.values():
                peer.stop()
        values["t2av-bench"] = command(folder / "few", "fp32", False)[1]
    rows = [row("t2av-bench evaluate, whole command", times["fp32"]) | {"base": True}]
    if "bf16" in times:
        rows.append(row("t2av-bench evaluate --precision bf16", times["bf16"]))
    scale = chosen.files / chosen.peer_files
    note = "" if scale == 1.0 else f"from {chosen.peer_files} files"
    rows += [row(what, times[name], scale=scale, once_s=once_s[name], note=note) for name, what in here.items()]
    return {
        "title": f"FAD over {chosen.files} WAV files of {chosen.seconds:g} s, 44.1 kHz, drawn VGGish weights",
        "rows": rows,
        "fad_of_few_files": values,
        "notes": notes(chosen, values, "bf16" in times, [name for name in PEERS if name not in here]),
    }


def notes(chosen: argparse.Namespace, values: dict[str, float], with_bf16: bool, absent: list[str]) -> list[str]:
    said = [
        "The command is timed from start to end, with an empty cache; the other tools without start, imports and"
        " building the network.",
        f"FAD of {chosen.peer_files} files: "
        + ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        + ".",
    ]
    if chosen.peer_files < chosen.files:
        said.append(f"The other tools' time per file is that of {chosen.peer_files} files; the distance is added once.")
    if not with_bf16:
        said.append("This version has no --precision.")
    return said + [f"{name} is not installed and left out." for name in absent]


def make_files(folder: Path, files_n: int, few_n: int, length_s: float) -> None:
    """Write noise of as many colours as there are files; the small set is the first of each half."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(int(length_s * SR_HZ) + 1)
    for name, count in (("all", files_n // 2), ("few", few_n // 2)):
        for side, colour in (("data", 0.3), ("preds", 0.5)):
            target = folder / name / side
            target.mkdir(parents=True)
            for i in range(count):
                sound = np.roll(base, 97 * i)
                sound = sound[1:] - (colour + 0.4 * i / count) * sound[:-1]
                soundfile.write(target / f"{i:04}.wav", (0.02 + 0.05 * (i % 7) / 7) * sound, SR_HZ)
        lines = ["clip_id,media,caption,duration_s", *(f"{i:04},{i:04}.wav,noise,{length_s:g}" for i in range(count))]
        (folder / name / "manifest.csv").write_text("\n".join(lines) + "\n")


def command(folder: Path, precision: str, say_precision: bool) -> tuple[float, float]:
    """Return the time of the whole command, and its FAD."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        result = Path(cache, "result.json")
        arguments = ["evaluate", "--pred-dir", folder / "preds", "--manifest", folder / "manifest.csv", "--data-dir",
                     folder / "data", "--features", "vggish", "--metrics", "FAD", "--weights", "random", "--device",
                     "cpu", "--cache-dir", cache, "-o", result]  # fmt: skip
        arguments += ["--precision", precision] if say_precision else []
        start_s = time.perf_counter()
        called = [sys.executable, "-m", "t2av_bench", *map(str, arguments)]
        done = subprocess.run(called, capture_output=True, text=True, check=False)
        taken_s = time.perf_counter() - start_s
        if done.returncode:
            raise SystemExit(f"{' '.join(called)}\n{done.stderr}")
        return taken_s, json.loads(result.read_text())["scores"]["FAD"]["value"]


def has_precision() -> bool:
    from t2av_bench.cli.evaluate import evaluate

    return any("--precision" in option.opts for option in evaluate.params)


class Peer:
    """A process that holds another tool ready and runs it when told to; see ``peers.py``."""

    def __init__(self, name: str, folder: Path) -> None:
        script = Path(__file__).with_name("peers.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},  # ours runs on the CPU, too
        )
        self.name, self.value, self.distance_s = name, 0.0, 0.0
        self._answer()

    def run(self) -> float:
        """Return the time of embedding all files."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        found = self._answer()
        self.value, self.distance_s = found["fad"], found["distance_s"]
        return found["embedding_s"]

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # the tools print things of their own
                return json.loads(line)
        raise SystemExit(f"{self.name} ended with {self._process.wait()}")

    def stop(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(timeout=60)
