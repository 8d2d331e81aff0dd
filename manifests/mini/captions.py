"""A small grammar for captions."""

from __future__ import annotations

from collections.abc import Sequence

from t2av_bench.manifests.mini.source import Source
from t2av_bench.manifests.mini.stream import Stream


def caption(rng: Stream, sources: Sequence[Source]) -> str:
    """Describe one or two sources: "The sound of a small red ball bouncing on a wooden floor"."""
    if len(sources) == 1:
        noun, does, doing = _phrases(rng, sources[0])
        text = rng.choice(
            (
                f"{noun} {does}",
                f"{noun} {does}",
                f"{noun} {doing}",
                f"the sound of {noun} {doing}",
                f"there is {noun} {doing}",
            )
        )
    else:
        (noun, does, doing), (noun2, does2, doing2) = (_phrases(rng, source) for source in sources)
        text = rng.choice(
            (
                f"{noun} {does} while {noun2} {does2}",
                f"{noun} {does} and {noun2} {does2}",
                f"{noun} {doing} next to {noun2} {doing2}",
                f"the sound of {noun} {doing} and {noun2} {doing2}",
            )
        )
    return text[0].upper() + text[1:]


def _phrases(rng: Stream, source: Source) -> tuple[str, str, str]:
    """Return the noun with article, and what it does in two forms."""
    size = source.size if rng.chance(0.7) else ""
    colour = source.colour_name if rng.chance(0.7) else ""
    pace = source.pace if rng.chance(0.7) else ""
    noun = " ".join(word for word in (size, colour, source.words.noun) if word)
    article = "an" if noun[0] in "aeiou" else "a"
    does, doing = (f"{pace} {phrase}".strip() for phrase in (source.words.does, source.words.doing))
    return f"{article} {noun}", does, doing
