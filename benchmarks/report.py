"""Time to make a listening report of clips of the mini world, its size, and how the gallery of the page behaves.

python benchmarks/report.py [clips] [systems] [workers]
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from made_results import made_result  # noqa: E402

import t2av_bench as tb  # noqa: E402
from t2av_bench.manifests.mini import render  # noqa: E402
from t2av_bench.manifests.mini.predictions import SET_NAMES, write_prediction_sets  # noqa: E402

SCORES = ("FD", "FAD", "FAVD", "FATD", "FA(VT)D", "FAD-b", "FAVD-b", "AV-index", "KAD", "KAVD", "event-F1", "AV-Align")


def main() -> None:
    arguments = [int(argument) for argument in sys.argv[1:]]
    clips_n, systems_n, workers_n = [*arguments, *(500, 2, 2)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as folder:
        manifest = render("val", clips_n, 0, Path(folder) / "data", num_workers=workers_n, progress=False)
        sounds = write_prediction_sets(manifest, Path(folder) / "preds")
        names = SET_NAMES[1 : 1 + systems_n]
        results = [made_up(name, manifest) for name in names]
        out = Path(folder) / "report"
        start_s = time.perf_counter()
        page = tb.report(
            results, [sounds[name] for name in names], out, manifest=manifest, clips=None, num_workers=workers_n
        )
        took_s = time.perf_counter() - start_s
        print(f"report of {clips_n} clips, {systems_n} systems, {workers_n} processes  {took_s:.1f} s")
        bytes_n = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        print(f"page {page.stat().st_size / 1e6:.2f} MB, with media {bytes_n / 1e6:.0f} MB")
        behaviour(page)


def made_up(name: str, manifest: tb.Manifest) -> tb.Result:
    rng = np.random.default_rng(len(name))
    per_clip = {clip.clip_id: dict(zip(SCORES, rng.normal(size=len(SCORES)), strict=True)) for clip in manifest.clips()}
    result = made_result(name, dict.fromkeys(SCORES, 1.0), per_clip)
    return replace(result, manifest={**result.manifest, "name": manifest.name, "sha256": manifest.sha256})


def behaviour(page: Path) -> None:
    """Time sorting and scrolling, and count what is kept of clips that are out of sight."""
    try:
        from browser import browsing
    except ImportError as error:
        print(f"no browser: {error}")
        return
    with browsing() as chromium:
        shown = chromium.new_page(viewport={"width": 1280, "height": 900})
        start_s = time.perf_counter()
        shown.goto(page.as_uri())
        print(f"open the page in Chromium {time.perf_counter() - start_s:.1f} s")
        sort_ms = shown.evaluate("""() => {
          const start = performance.now();
          document.getElementById('Turn').click();
          document.getElementById('Gallery').getBoundingClientRect();
          return performance.now() - start;
        }""")
        frames = shown.evaluate("""async () => {
          const gaps = [];
          let last = performance.now(), most = 0;
          const end = document.documentElement.scrollHeight;
          for (let k = 0; k <= 120; k++) {
            window.scrollTo({ top: (end * k) / 120, behavior: 'instant' });
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            gaps.push(now - last);
            last = now;
            most = Math.max(most, document.querySelectorAll('#Gallery article').length);
          }
          gaps.sort((a, b) => a - b);
          return [gaps[60], gaps[114], most];
        }""")
    print(f"turn the order round {sort_ms:.0f} ms")
    print(f"scroll from top to bottom in 120 steps: median frame {frames[0]:.0f} ms, 95 % {frames[1]:.0f} ms")
    print(f"at most {frames[2]} cards at once")


if __name__ == "__main__":
    main()
