"""Time to merge and render 1,000 results, and the size of the page; with Chromium, the time to sort it.

python benchmarks/leaderboard.py [systems]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from made_boards import submission  # noqa: E402

from t2av_bench.leaderboard import Leaderboard  # noqa: E402
from t2av_bench.leaderboard.rendering import render_page  # noqa: E402
from t2av_bench.schemas import write_text  # noqa: E402


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.json" for i in range(count)]
        for i, path in enumerate(files):
            submission(f"System {i:04d}", seed=i).save(path)
            path.with_suffix(".per_clip.csv").unlink()
        start_s, cpu_s = time.perf_counter(), time.process_time()

        def lap(what: str) -> None:
            nonlocal start_s, cpu_s
            now_s, now_cpu_s = time.perf_counter(), time.process_time()
            print(f"{what:34} {now_s - start_s:6.2f} s ({now_cpu_s - cpu_s:.2f} s of CPU)")
            start_s, cpu_s = time.perf_counter(), time.process_time()

        halves = [Leaderboard().add(part, list_not_comparable=True) for part in (files[::2], files[1::2])]
        lap(f"check and add {count} result files")
        merged = halves[0].merge(halves[1])
        merged.save(Path(folder) / "board.json")
        lap("merge two boards and save")
        board = Leaderboard.load(Path(folder) / "board.json")
        lap("load and check the board")
        page = Path(folder) / "board.html"
        write_text(page, render_page(board))
        lap("rank and render the page")
        print(f"{'page':34} {page.stat().st_size / 1e6:6.2f} MB")
        sort_times(page)


def sort_times(page: Path) -> None:
    try:
        from browser import browsing
    except ImportError as error:
        print(f"no browser: {error}")
        return
    click = """k => {
      const button = document.querySelectorAll('#Table thead button')[1 + (k % 4)], start = performance.now();
      button.click();
      document.getElementById('Table').getBoundingClientRect();
      return performance.now() - start;
    }"""
    with browsing() as chromium:
        shown = chromium.new_page()
        shown.goto(page.as_uri())
        times_ms = [shown.evaluate(click, k) for k in range(12)]
    print(f"{'sort the page in Chromium':34} {statistics.median(times_ms):6.0f} ms (median of {len(times_ms)} clicks)")


if __name__ == "__main__":
    main()
