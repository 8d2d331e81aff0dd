"""Metric objects under torchrun: two processes on loopback give what one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from t2av_bench.metrics import kernel_distance
from t2av_bench.metrics.modules import AlignmentIndex, FrechetScore, KernelScore

ROOT = Path(__file__).resolve().parents[2]
ROWS_N = 301


@pytest.fixture(scope="module")
def sides() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    video = rng.normal(size=(ROWS_N, 20)) + 50
    return tuple(  # type: ignore[return-value]
        {"audio": share * video[:, :4] + rng.normal(size=(ROWS_N, 4)), "video": video} for share in (1.0, 0.6)
    )


@pytest.mark.slow
def test_two_processes_give_what_one_gives(
    sides: tuple[dict[str, np.ndarray], dict[str, np.ndarray]], tmp_path: Path
) -> None:
    reference, generated = sides
    named = {f"{side}_{block}": rows for side, blocks in zip(("reference", "generated"), sides, strict=True)
             for block, rows in blocks.items()}  # fmt: skip
    np.savez(tmp_path / "rows.npz", **named)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    command += [str(ROOT / "tests/support/score_in_processes.py"), str(tmp_path / "rows.npz"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-3000:]
    processes = [json.loads((tmp_path / f"{rank}-of-2.json").read_text()) for rank in range(2)]

    dims = {block: rows.shape[1] for block, rows in reference.items()}
    clips = np.arange(ROWS_N) // 4
    expected = {}
    for name, metric in (
        ("FAVD", FrechetScore(dims)),
        ("FAVD-b", FrechetScore(dims, balanced=True)),
        ("FAVD-b with error", FrechetScore(dims, balanced=True, stderr=True)),
        ("AV-index", AlignmentIndex(dims)),
        ("KAVD", KernelScore(dims)),
    ):
        metric.update(**reference, real=True, clip_ids=clips)
        metric.update(**generated, clip_ids=clips)
        value = metric.compute()
        for key, number in value.items() if isinstance(value, dict) else [("value", value)]:
            expected[f"{name} {key}"] = float(number)
    expected["idle value"] = kernel_distance(reference["audio"], generated["audio"], clips=(clips, clips)).value

    shares = [process.pop("windows of this process") for process in processes]
    assert shares == [101, 200], "after computing, each process has its own share again"
    for process in processes:
        assert process == pytest.approx(expected, rel=1e-9)
    assert processes[0] == processes[1]
