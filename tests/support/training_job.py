"""Run by torchrun: a program with a process group of its own, in which every process evaluates alone, then together."""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

import t2av_bench as tb
from t2av_bench.distributed import processes


def main(preds: str, manifest: str, data: str, out: str) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    options = {"manifest": manifest, "data_dir": data, "features": "lite", "num_workers": 0, "uncertainty": "stderr"}
    tb.evaluate(preds, cache_dir=Path(out, f"{rank}"), **options).save(Path(out, f"alone-{rank}.json"))
    for turn in range(2):
        with processes() as team:
            found = tb.evaluate(preds, cache_dir=Path(out, "cache"), processes=team, **options)
        found.save(Path(out, f"together-{rank}-{turn}.json"))
    total = [None, None]
    dist.all_gather_object(total, rank)
    assert total == [0, 1], "its own group still works"
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
