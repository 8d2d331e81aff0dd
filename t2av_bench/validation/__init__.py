"""Do the scores measure what they claim? Distort the real sound by known amounts and see which score notices.

:func:`~t2av_bench.validation.runs.validate_metrics` is the flow: every level of every distortion
(:mod:`t2av_bench.validation.catalogue`) becomes a set of predictions, which :func:`t2av_bench.evaluate` scores as it
scores any system; :mod:`t2av_bench.validation.responses` judges what came of it.
"""

from t2av_bench.validation.catalogue import DISTORTIONS
from t2av_bench.validation.record import Response, Validation
from t2av_bench.validation.runs import validate_metrics

__all__ = ["DISTORTIONS", "Response", "Validation", "validate_metrics"]
