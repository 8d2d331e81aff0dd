"""A distance with its error and floor at full size: the features of the paper, the windows of VGGSound's test clips.

    python benchmarks/full_size.py [--dim 4524] [--windows 177000] [--device auto]

Float32 rows are drawn clip by clip, and drawn again for the second pass, as an evaluation reads them from its cache;
they are never held. They are gathered in eight groups of clips, as an evaluation gathers them. Memory is a number of
d x d matrices, whatever the number of windows. ``--device`` says where large matrices are computed; times are of the
clock, and of the processor in brackets, without the drawing, and peak memory is that of the process, without the GPU's.
Both passes over the windows say how far they are, at every tenth; the last lines compare the score with what its
standard error and floor add. ``--threads`` limits those of matrix products and decompositions.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from t2av_bench.accelerated import large_matrices_on
from t2av_bench.metrics import JointStats, frechet_distance
from t2av_bench.metrics.grouped_bias import grouped_floor
from t2av_bench.metrics.groups import GROUPS_N, GroupedSides, assign_groups, united
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.uncertainty import contributions_stderr

CLIP_ROWS = 10
BATCH_CLIPS = 64
Value = TypeVar("Value")


class Clips:
    """Clips whose windows are drawn when they are asked for, from a spectrum that falls as 1 / k."""

    def __init__(self, windows_n: int, dim: int) -> None:
        self.count = windows_n // CLIP_ROWS
        self._scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
        self._drawn_n = 0
        self._start_s = time.perf_counter()
        self.drawing_s = self.drawing_cpu_s = 0.0

    def batch(self, clips: np.ndarray, generated: bool) -> np.ndarray:
        """Return the windows of some clips; those of a good system are tied to the reference's."""
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        shape = (CLIP_ROWS, len(self._scale))
        rows = [np.random.default_rng((0, clip)).standard_normal(shape, dtype=np.float32) for clip in clips]
        if generated:
            noise = (np.random.default_rng((1, clip)).standard_normal(shape, dtype=np.float32) for clip in clips)
            rows = [0.8 * own + 0.6 * other for own, other in zip(rows, noise, strict=True)]
        found = np.concatenate(rows) * self._scale + 0.01 * generated
        self.drawing_s += time.perf_counter() - start_s
        self.drawing_cpu_s += time.process_time() - start_cpu_s
        self._report(len(clips))
        return found

    def _report(self, clips_n: int) -> None:
        """Say how far a pass over both sides is whenever another tenth of it is drawn."""
        whole_n = 2 * self.count
        before_n, self._drawn_n = self._drawn_n, self._drawn_n + clips_n
        if 10 * before_n // whole_n != 10 * self._drawn_n // whole_n:
            done_n = (self._drawn_n - 1) % whole_n + 1
            elapsed_s = time.perf_counter() - self._start_s
            print(
                f"  {done_n * CLIP_ROWS:,} of {whole_n * CLIP_ROWS:,} windows; {elapsed_s:.0f} s since the start, peak"
                f" {peak_gib():.1f} GiB",
                flush=True,
            )

    def batches(self, clips: np.ndarray, generated: bool) -> Iterator[np.ndarray]:
        for first in range(0, len(clips), BATCH_CLIPS):
            yield self.batch(clips[first : first + BATCH_CLIPS], generated)

    def statistics(self, groups: np.ndarray, generated: bool) -> list[JointStats]:
        """Return statistics by group, each clip counted on its own."""
        found = []
        for group in range(GROUPS_N):
            found.append(JointStats({"features": len(self._scale)}))
            for rows in self.batches(np.flatnonzero(groups == group), generated):
                for clip in np.split(rows, len(rows) // CLIP_ROWS):
                    found[-1].update(features=clip)
        return found

    def stderr(self, fitted: InfluenceMap) -> float:
        """Return the standard error of first order, by a second pass."""
        contributions = np.zeros(self.count)
        for generated, influence in enumerate((fitted.reference, fitted.generated)):
            found = [influence(rows) for rows in self.batches(np.arange(self.count), bool(generated))]
            contributions += np.concatenate(found).reshape(-1, CLIP_ROWS).sum(axis=1) / (self.count * CLIP_ROWS)
        return contributions_stderr(contributions)


class Clock:
    """Prints and keeps what each step took, without drawing: on the clock and of the processor."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self.wall_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    def timed(self, what: str, function: Callable[[], Value]) -> Value:
        start = self._now()
        value = function()
        spent_s, cpu_s = (now - then for now, then in zip(self._now(), start, strict=True))
        self.wall_s[what], self.cpu_s[what] = spent_s, cpu_s
        print(f"{what:34}{spent_s:9.1f} s   (CPU {cpu_s:8.1f} s)   peak {peak_gib():5.1f} GiB", flush=True)
        return value

    def _now(self) -> tuple[float, float]:
        clips = self._clips
        return time.perf_counter() - clips.drawing_s, time.process_time() - clips.drawing_cpu_s

    def report(self) -> None:
        """Print what the score takes, and what its error and floor add to it."""
        for unit, spent in (("on the clock", self.wall_s), ("CPU", self.cpu_s)):
            score = sum(spent[step] for step in ("statistics", "united", "rank", "distance"))
            # The distance comes with the influence function, where both covariances are regular.
            added = spent["distance, influence function"] - spent["distance"]
            added += spent["contributions of clips"] + spent["floor"]
            print(f"{unit}: score {score:.1f} s; error and floor add {added:.1f} s, {added / score:.2f} times as much")


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=4524)
    parser.add_argument("--windows", type=int, default=177_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="as many as there are cores by default")
    options = parser.parse_args()
    clips = Clips(options.windows, options.dim)
    groups = assign_groups(clips.count, GROUPS_N, 0)
    clock = Clock(clips)
    timed = clock.timed
    with large_matrices_on(options.device, options.dim), threadpool_limits(options.threads):
        grouped = timed("statistics", lambda: [clips.statistics(groups, side) for side in (False, True)])
        halves = timed("united", lambda: [[united(side[::2]), united(side[1::2])] for side in grouped])
        whole = [united(side) for side in halves]
        rank = timed("rank", lambda: whole[0].rank)
        distance = timed("distance", lambda: frechet_distance(*whole))
        fitted = timed("distance, influence function", lambda: InfluenceMap.fit(*whole))
        error = timed("contributions of clips", lambda: clips.stderr(fitted))
        floor = timed("floor", lambda: grouped_floor(GroupedSides(*halves), with_score=False))
    clock.report()
    print(f"distance {distance:.4f} ± {error:.4f}, floor {floor.value:.4f}; rank {rank}, n = {whole[0].n}")
    matrix_gib = options.dim**2 * 8 / 2**30
    sizes = f"peak memory {peak_gib():.1f} GiB; a d x d matrix is {matrix_gib:.2f} GiB"
    print(f"{sizes}; drawing took {clips.drawing_s:.0f} s")


if __name__ == "__main__":
    main()
