"""word2vec: the mean of a caption's Google News word vectors, 300-d.

The published file cannot be searched without reading all of its 3.6 GB, so it is read once, with gensim, and written
in a form of which lookups read only the words they need: ``vectors.npy`` and ``words.txt``, in
``weights/word2vec-<hash>/`` of the home folder. Not gensim's own form, which is a pickle and may run code.

How a caption becomes words: runs of letters and digits, apostrophes inside a word kept. The vocabulary is
case-sensitive, lacks stop words ("a", "and", "of", "to") and writes numbers of more than one digit as "##", so each
word is looked up in lower case (the capital that begins a sentence means nothing), as written, capitalised, in upper
case, with digits replaced, and at last without what follows its apostrophe; the first form found counts. Words found
in no form are left out of the mean.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np

from t2av_bench.errors import MetricError, PrerequisiteError, shown
from t2av_bench.files import hash_stream
from t2av_bench.home import home
from t2av_bench.models.extractors.base import Float32Array, TextExtractor
from t2av_bench.models.extractors.catalogue import WEIGHTS
from t2av_bench.models.extractors.chosen_weights import PUBLISHED, ChosenWeights

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TOKENISATION = 1
# More than any published file has; reading stops there, so that no compressed file can fill the memory.
_MOST_WORDS_N, _MOST_NUMBERS_N = 10_000_000, 4_096


class _Vectors(NamedTuple):
    """Vectors (words, numbers), mapped into memory, and the row of each word."""

    vectors: Float32Array
    rows: dict[str, int]


def words_of(caption: str) -> list[str]:
    """Split a caption into words: runs of letters and digits, with apostrophes inside.

    Examples
    --------
    >>> words_of("A dog's bark, then 25 high-pitched beeps")
    ['A', "dog's", 'bark', 'then', '25', 'high', 'pitched', 'beeps']
    """
    return [word.replace("’", "'") for word in _WORD.findall(caption)]


def forms_of(word: str) -> Iterator[str]:
    """Yield the forms in which a word is looked up, the first wanted most."""
    yield from (word.lower(), word, word.capitalize(), word.upper())
    if any(character.isdigit() for character in word):
        yield re.sub(r"\d", "#", word)
    stem, apostrophe, _ = word.partition("'")
    if apostrophe:
        yield from forms_of(stem)


class Word2VecExtractor(TextExtractor):
    """Mean word vectors, one per caption.

    Parameters
    ----------
    weights
        ``"published"``, ``"random"``, or the path of a file in the binary word2vec format, gzip-compressed if its name
        ends in ``.gz``. Random vectors are uniform with unit variance, from a hash of seed and lower-cased word.
    seed
        Of random vectors.
    device
        Accepted like every network's and without effect.
    """

    name = "word2vec"
    version = 1
    has_network = True
    dim = 300

    def __init__(self, *, weights: str | Path = PUBLISHED, seed: int = 0, device: str = "auto") -> None:
        self.weights = ChosenWeights(WEIGHTS["word2vec"], weights, seed)
        self.device = device
        self._vectors: _Vectors | None = None
        self._content_sha256: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the hash of the decompressed vectors, or the seed, and the version of the splitting into words."""
        chosen = self.weights.options() if self.weights.is_random else {"weights_sha256": self.weights_sha256}
        return {**chosen, "tokenisation": _TOKENISATION}

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the decompressed file, None for random vectors."""
        if self.weights.is_random:
            return None
        if not self.weights.is_file:
            return self.weights.entry.content_sha256
        if self._content_sha256 is None:
            self._content_sha256 = _content_sha256(self.weights.path)
        return self._content_sha256

    @property
    def not_comparable(self) -> str:
        """Why embeddings must not be put on a leaderboard; empty with the published vectors, however compressed."""
        if self.weights.is_file and self.weights_sha256 == self.weights.entry.content_sha256:
            return ""
        return self.weights.not_comparable

    def check(self) -> None:
        """Raise a PrerequisiteError if the vectors have to be fetched first."""
        sha256 = self.weights_sha256
        if sha256 is not None and not _folder(sha256).is_dir():
            self.weights.check()

    def embed_captions(self, captions: list[str]) -> Float32Array:
        """Embed captions.

        Returns
        -------
        numpy.ndarray, shape (captions, 300), float32

        Raises
        ------
        MetricError
            If no word of a caption is in the vocabulary: names the caption.
        """
        self._open()
        embeddings = np.zeros((len(captions), self.dim), np.float32)
        for row, caption in zip(embeddings, captions, strict=True):
            vectors = [vector for word in words_of(caption) if (vector := self._vector(word)) is not None]
            if not vectors:
                raise MetricError(
                    f"Every caption must hold a word that word2vec knows; none is known in {caption!r}. "
                    "Correct the caption or leave the clip out."
                )
            row[:] = np.mean(vectors, axis=0, dtype=np.float64)
        return embeddings

    def _open(self) -> None:
        sha256 = self.weights_sha256
        if sha256 is None or self._vectors is not None:
            return
        vectors = _open_vectors(self.weights, sha256)
        if vectors.vectors.shape[1] != self.dim:
            raise PrerequisiteError(
                f"{self.weights.path} must hold vectors of {self.dim} numbers; got {vectors.vectors.shape[1]}."
            )
        self._vectors = vectors

    def _vector(self, word: str) -> Float32Array | None:
        if self.weights.is_random:
            return _random_vector(word.lower(), self.weights.seed, self.dim)
        assert self._vectors is not None
        row = next((self._vectors.rows[form] for form in forms_of(word) if form in self._vectors.rows), None)
        return None if row is None else np.asarray(self._vectors.vectors[row], np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_vectors": None}


def _random_vector(word: str, seed: int, dim: int) -> Float32Array:
    """Uniform in ±sqrt(3) from SHAKE-256 of seed and word: the same on every platform."""
    digest = hashlib.shake_256(f"{seed}/{word}".encode()).digest(4 * dim)
    uniform = np.frombuffer(digest, "<u4").astype(np.float64) / 2**32
    vector: Float32Array = ((2 * uniform - 1) * np.sqrt(3)).astype(np.float32)
    return vector


def _open_vectors(weights: ChosenWeights, sha256: str) -> _Vectors:
    """Return the vectors, mapped into memory; the file itself is needed on first use only."""
    folder = _folder(sha256)
    if not folder.is_dir():
        _convert(weights.path, folder)
    try:
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        words = (folder / "words.txt").read_bytes().decode().split(" ")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(folder) from error
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(words) != len(vectors):
        raise _damaged(folder)
    return _Vectors(vectors, {word: row for row, word in enumerate(words)})


def _damaged(folder: Path) -> PrerequisiteError:
    return PrerequisiteError(f"{folder} is damaged; delete it to have the vectors converted again")


def _folder(sha256: str) -> Path:
    return home() / "weights" / f"word2vec-{sha256[:16]}"


def _convert(path: Path, folder: Path) -> None:
    """Write the vectors beside their vocabulary, complete or not at all."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        read = _read_binary(path)
        np.save(partial / "vectors.npy", np.ascontiguousarray(read.vectors, np.float32))
        # In the published format a blank ends a word, so that none holds one.
        (partial / "words.txt").write_bytes(" ".join(read.index_to_key).encode())
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process may have been faster
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_binary(path: Path) -> Any:
    from gensim.models import KeyedVectors

    try:
        _check_header(path)
        return KeyedVectors.load_word2vec_format(str(path.absolute()), binary=True)
    except (ValueError, EOFError, AssertionError, MemoryError, gzip.BadGzipFile, zlib.error) as error:
        raise PrerequisiteError(
            f"{path} must be in the binary word2vec format (a line with the numbers of words and dimensions, then each "
            f"word, a blank and its float32 numbers), gzip-compressed if and only if its name ends in .gz: "
            f"{type(error).__name__}: {shown(str(error), 200)}."
        ) from error


def _check_header(path: Path) -> None:
    """Raise if a file announces more vectors than any has; what is no header at all is left to gensim."""
    with _decompressed(path) as file:
        announced = file.readline(100).split()
    if len(announced) == 2 and all(number.isdigit() for number in announced):
        words_n, numbers_n = (int(number) for number in announced)
        if words_n > _MOST_WORDS_N or numbers_n > _MOST_NUMBERS_N:
            raise ValueError(f"it announces {words_n:,} words of {numbers_n:,} numbers")


def _decompressed(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _content_sha256(path: Path) -> str:
    try:
        with _decompressed(path) as file:
            return hash_stream(hashlib.sha256(), file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise PrerequisiteError(f"{path} must be a whole gzip file, as its name ends in .gz: {error}.") from error
