"""Run by torchrun in each process: feed a share of the rows, compute, and write what every process got."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch.distributed as dist

from t2av_bench.metrics.modules import AlignmentIndex, FrechetScore, KernelScore

warnings.simplefilter("error")
# gloo's notice that a barrier uses the default device is no concern of the scores.
warnings.filterwarnings("ignore", message=".*barrier.*")


def main(data: str, out: str) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    arrays = np.load(data)
    reference = {block: arrays[f"reference_{block}"] for block in ("audio", "video")}
    generated = {block: arrays[f"generated_{block}"] for block in ("audio", "video")}
    dims = {block: rows.shape[1] for block, rows in reference.items()}
    metrics = {
        "FAVD": FrechetScore(dims),
        "FAVD-b": FrechetScore(dims, balanced=True, reference=reference),
        "FAVD-b with error": FrechetScore(dims, balanced=True, stderr=True),
        "AV-index": AlignmentIndex(dims),
        "KAVD": KernelScore(dims),
        "idle": KernelScore({"audio": dims["audio"]}),
    }
    # Shares of unequal size, in batches of unequal number, and "idle" is fed by process 0 alone.
    mine = np.arange(len(reference["audio"])) % 3 == 0
    mine = mine if rank == 0 else ~mine
    for name, metric in metrics.items():
        if name == "idle" and rank > 0:
            continue
        share = np.ones_like(mine) if name == "idle" else mine
        rows_n = int(share.sum())
        for side, real in ((reference, True), (generated, False)):
            if real and name == "FAVD-b":
                continue
            chosen = {block: rows[share] for block, rows in side.items()}
            clips = np.flatnonzero(share) // 4
            for start in range(0, rows_n, 17 + 30 * rank):
                stop = start + 17 + 30 * rank
                part = {block: rows[start:stop] for block, rows in chosen.items()}
                metric.update(**part, real=real, clip_ids=clips[start:stop])
    found = {}
    for name, metric in metrics.items():
        if name == "idle" and rank > 0:
            metric._update_count = 1  # torchmetrics warns of a metric that was never fed
        value = metric.compute()
        for key, number in value.items() if isinstance(value, dict) else [("value", value)]:
            found[f"{name} {key}"] = float(number)
    found["windows of this process"] = int(metrics["FAVD"].generated_moments[0, 0]) + sum(
        map(len, metrics["FAVD"].generated_rows)
    )
    Path(out, f"{rank}-of-{world}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    assert os.environ["WORLD_SIZE"]
    main(*sys.argv[1:])
