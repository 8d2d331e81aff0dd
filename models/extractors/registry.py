"""Names of extractors to their classes, imported on first use.

Third parties add theirs through the entry-point group ``t2av_bench.extractors`` of their package.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from t2av_bench.errors import no_such_name
from t2av_bench.models.extractors.base import Extractor

_BUILT_IN = {
    "vggish": "t2av_bench.models.extractors.vggish:VGGishExtractor",
    "c3d": "t2av_bench.models.extractors.c3d:C3DExtractor",
    "word2vec": "t2av_bench.models.extractors.word2vec:Word2VecExtractor",
    "panns": "t2av_bench.models.extractors.panns:PannsExtractor",
    "panns-logits": "t2av_bench.models.extractors.panns:PannsLogitsExtractor",
    "i3d": "t2av_bench.models.extractors.i3d:I3DExtractor",
    "clap-audio": "t2av_bench.models.extractors.clap:ClapAudioExtractor",
    "clap-text": "t2av_bench.models.extractors.clap:ClapTextExtractor",
    "lite-audio": "t2av_bench.models.extractors.lite_audio:LiteAudioExtractor",
    "lite-video": "t2av_bench.models.extractors.lite_video:LiteVideoExtractor",
    "lite-text": "t2av_bench.models.extractors.lite_text:LiteTextExtractor",
    "onset-strength": "t2av_bench.models.extractors.onset_strength:OnsetStrengthExtractor",
    "synchformer-audio": "t2av_bench.models.extractors.synchformer:SynchformerAudioExtractor",
    "synchformer-video": "t2av_bench.models.extractors.synchformer:SynchformerVideoExtractor",
    "motion-energy": "t2av_bench.models.extractors.motion_energy:MotionEnergyExtractor",
    "condfoleygen-onsets": "t2av_bench.models.extractors.peer_timing:CondFoleyGenOnsets",
    "tempotokens-peaks": "t2av_bench.models.extractors.peer_timing:TempoTokensPeaks",
    "tempotokens-flow": "t2av_bench.models.extractors.peer_timing:TempoTokensFlow",
}


def extractor_names() -> list[str]:
    """Return the registered names, built-in ones first."""
    installed = [point.name for point in entry_points(group="t2av_bench.extractors")]
    return [*_BUILT_IN, *sorted(set(installed) - set(_BUILT_IN))]


def extractor_class(name: str) -> type[Extractor]:
    """Return the class registered under a name.

    Raises
    ------
    UsageError
        If there is none; names the nearest match and what exists.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[Extractor] = getattr(import_module(module), attribute)
        return found
    for point in entry_points(group="t2av_bench.extractors", name=name):
        loaded: type[Extractor] = point.load()
        return loaded
    raise no_such_name(f"There is no extractor named {name!r}", name, extractor_names())


def get_extractor(name: str, **options: Any) -> Extractor:
    """Make an extractor by name.

    Parameters
    ----------
    name
        A registered name; see :func:`extractor_names`.
    **options
        Passed to the class. The networks take ``weights`` (``"published"``, ``"random"`` or the path of a file in the
        published layout), ``seed`` (of random weights) and ``device`` (``"auto"``, ``"cpu"``, ``"cuda"``,
        ``"cuda:1"``).

    Examples
    --------
    >>> get_extractor("lite-audio").dim
    64
    """
    return extractor_class(name)(**options)
