"""t2av-bench: measure video-aligned text-to-audio systems.

``import t2av_bench`` is cheap: torch, pandas, gensim and diffusers load when a function needs them.

>>> import t2av_bench as tb
>>> result = tb.evaluate("preds/", manifest="t2av-mini")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2av_bench._version import __version__

# In a checkout the sub-packages metrics/, models/ and manifests/ lie beside this folder, in an
# installed wheel inside it. These lines make a bare checkout importable without installing it.
_here = Path(__file__).resolve().parent
if not (_here / "metrics").is_dir() and (_here.parent / "setup.cfg").is_file():
    __path__.append(str(_here.parent))

if TYPE_CHECKING:
    from t2av_bench.comparison import Comparison, compare
    from t2av_bench.comparison.plot import plot_comparison
    from t2av_bench.correlation import Correlation, correlate
    from t2av_bench.errors import MediaError, PrerequisiteError, ProblemsError, T2AVBenchError
    from t2av_bench.evaluation import evaluate
    from t2av_bench.leaderboard import Leaderboard
    from t2av_bench.manifests import Manifest, load_manifest
    from t2av_bench.packs.building import build_pack
    from t2av_bench.packs.verifying import verify_pack
    from t2av_bench.reporting import report
    from t2av_bench.results import Result, Score
    from t2av_bench.results.plot import plot_result
    from t2av_bench.validation import validate_metrics
    from t2av_bench.validation.plot import plot_validation

__all__ = [
    "Comparison",
    "Correlation",
    "Leaderboard",
    "Manifest",
    "MediaError",
    "PrerequisiteError",
    "ProblemsError",
    "Result",
    "Score",
    "T2AVBenchError",
    "__version__",
    "build_pack",
    "compare",
    "correlate",
    "evaluate",
    "load_manifest",
    "plot_comparison",
    "plot_result",
    "plot_validation",
    "report",
    "validate_metrics",
    "verify_pack",
]

_HOME_OF = {
    "Comparison": "t2av_bench.comparison",
    "Correlation": "t2av_bench.correlation",
    "Leaderboard": "t2av_bench.leaderboard",
    "Manifest": "t2av_bench.manifests",
    "MediaError": "t2av_bench.errors",
    "PrerequisiteError": "t2av_bench.errors",
    "ProblemsError": "t2av_bench.errors",
    "Result": "t2av_bench.results",
    "Score": "t2av_bench.results",
    "T2AVBenchError": "t2av_bench.errors",
    "build_pack": "t2av_bench.packs.building",
    "compare": "t2av_bench.comparison",
    "correlate": "t2av_bench.correlation",
    "evaluate": "t2av_bench.evaluation",
    "load_manifest": "t2av_bench.manifests",
    "plot_comparison": "t2av_bench.comparison.plot",
    "plot_result": "t2av_bench.results.plot",
    "plot_validation": "t2av_bench.validation.plot",
    "report": "t2av_bench.reporting",
    "validate_metrics": "t2av_bench.validation",
    "verify_pack": "t2av_bench.packs.verifying",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 't2av_bench' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
