"""Captions described by 64 numbers: signed hashing of their words and pairs of words.

Each word, and each pair of neighbouring words with half the weight, is hashed to one of 64 places and to a sign; the
signed weights are summed and scaled to unit length ([1]_). Hashing needs no vocabulary, so any caption of any language
is described; the signs make the collisions cancel on average. The hash is BLAKE2b over UTF-8, which is the same in
every process and on every platform (Python's ``hash`` is not).

Words are runs of letters, marks and digits of the normalised (NFKC), case-folded caption. Scripts that write no spaces
between words (Chinese, Japanese kana, Thai, …) give one word per character, so that their pairs play the part of words.

References
----------
.. [1] Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009, arXiv:0902.2206.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

import numpy as np

from t2av_bench.errors import ManifestError
from t2av_bench.models.extractors.base import Float32Array, TextExtractor
from t2av_bench.models.extractors.lite_common import NOT_COMPARABLE, Float64Array

PAIR_WEIGHT = 0.5

_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u312f\u31a0-\u31ff"  # kana, bopomofo
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han and its extensions
    "]"
)


class LiteTextExtractor(TextExtractor):
    """Signed feature hashing of a caption's words and word pairs.

    Examples
    --------
    >>> LiteTextExtractor().embed_captions(["A ball bounces"]).shape
    (1, 64)
    """

    name = "lite-text"
    version = 1
    dim = 64

    def options(self) -> dict[str, Any]:
        """Return no options: everything is fixed by the version."""
        return {}

    @property
    def not_comparable(self) -> str:
        """Why these embeddings do not belong on a leaderboard."""
        return NOT_COMPARABLE

    def embed_captions(self, captions: list[str]) -> Float32Array:
        """Hash captions.

        Parameters
        ----------
        captions
            Texts in any language.

        Returns
        -------
        numpy.ndarray, shape (captions, 64), float32
            Rows of unit length; case, punctuation and spacing make no difference, the order of words does.

        Raises
        ------
        ManifestError
            If a caption holds no word; names the caption.
        """
        rows = np.zeros((len(captions), self.dim))
        for row, caption in zip(rows, captions, strict=True):
            tokens = words(caption)
            if not tokens:
                raise ManifestError(f"a caption must hold at least one letter or digit; got {caption!r}")
            for word in tokens:
                _add(row, word, 1.0)
            for pair in zip(tokens, tokens[1:], strict=False):
                _add(row, " ".join(pair), PAIR_WEIGHT)
            # Words may in principle cancel altogether; such a caption is described by zeros, not by NaN.
            row /= np.linalg.norm(row) or 1.0
        return rows.astype(np.float32)


def words(caption: str) -> list[str]:
    """Split a caption into normalised words; empty if it holds no letter or digit.

    Examples
    --------
    >>> words("A dog's bark, twice.")
    ['a', 'dogs', 'bark', 'twice']
    >>> words("狗叫 2")
    ['狗', '叫', '2']
    """
    folded = unicodedata.normalize("NFKC", caption).casefold().replace("'", "").replace("\u2019", "")
    spaced = _UNSPACED.sub(r" \g<0> ", folded)
    return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in spaced).split()


def _add(row: Float64Array, token: str, weight: float) -> None:
    """Add a token's signed weight at the place its hash names."""
    number = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")
    row[(number >> 1) % len(row)] += weight if number & 1 else -weight
