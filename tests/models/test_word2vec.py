"""word2vec against gensim, on small files that gensim wrote in the published format."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from t2av_bench.errors import MetricError, PrerequisiteError
from t2av_bench.models.extractors.word2vec import Word2VecExtractor, forms_of, words_of

WORDS = ["dog", "barks", "Dog", "Paris", "NASA", "##", "loud", "naïve", "rock", "chirping"]


@pytest.fixture
def vectors() -> KeyedVectors:
    """Make ten vectors of 300 numbers."""
    made = KeyedVectors(300)
    made.add_vectors(WORDS, np.random.default_rng(3).standard_normal((len(WORDS), 300)).astype(np.float32))
    return made


@pytest.fixture(params=["plain", "gzip"])
def path(request: pytest.FixtureRequest, vectors: KeyedVectors, tmp_path: Path) -> Path:
    """Write the vectors as the published file is written, plain and compressed."""
    plain = tmp_path / "vectors.bin"
    vectors.save_word2vec_format(str(plain), binary=True)
    if request.param == "plain":
        return plain
    compressed = tmp_path / "vectors.bin.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    return compressed


def test_embedding_is_the_mean_of_gensims_vectors(path: Path, vectors: KeyedVectors) -> None:
    embedding = Word2VecExtractor(weights=path).embed_captions(["A loud dog barks, and barks"])
    expected = (vectors["loud"] + vectors["dog"] + 2 * vectors["barks"]) / 4
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, expected[None], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(Word2VecExtractor(weights=path).embed_captions(["barks"])[0], vectors["barks"])


def test_vectors_are_memory_mapped_and_converted_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Word2VecExtractor(weights=path)
    first.embed_captions(["dog"])
    assert isinstance(first._vectors.vectors, np.memmap)
    monkeypatch.setattr(KeyedVectors, "load_word2vec_format", None)
    Word2VecExtractor(weights=path).embed_captions(["dog"])


def test_compression_does_not_change_the_fingerprint(vectors: KeyedVectors, tmp_path: Path) -> None:
    plain, compressed = tmp_path / "vectors.bin", tmp_path / "other.gz"
    vectors.save_word2vec_format(str(plain), binary=True)
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    assert Word2VecExtractor(weights=plain).fingerprint == Word2VecExtractor(weights=compressed).fingerprint


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("DOG", "dog"),
        ("Dog", "dog"),
        ("paris", "Paris"),
        ("nasa", "NASA"),
        ("25", "##"),
        ("dog's", "dog"),
        ("dog’s", "dog"),
    ],
)
def test_words_are_found_in_their_other_forms(written: str, found: str, vectors: KeyedVectors, tmp_path: Path) -> None:
    vectors.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    embedding = Word2VecExtractor(weights=tmp_path / "v.bin").embed_captions([written])
    np.testing.assert_array_equal(embedding[0], vectors[found])


def test_splitting_into_words() -> None:
    assert words_of("naïve dogs' high-pitched_yelp; don’t") == ["naïve", "dogs", "high", "pitched", "yelp", "don't"]
    assert list(dict.fromkeys(forms_of("Rock's"))) == ["rock's", "Rock's", "ROCK'S", "rock", "Rock", "ROCK"]


def test_caption_without_a_known_word_is_an_error_that_names_it(path: Path) -> None:
    with pytest.raises(MetricError, match="none is known in 'zzz of the'"):
        Word2VecExtractor(weights=path).embed_captions(["dog", "zzz of the"])


# Without a time stamp, so that the test has the same name in every process.
_EMPTY_GZIP = gzip.compress(b"3 300\n", mtime=0)


@pytest.mark.parametrize("name", ["bad.bin", "bad.bin.gz"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no header", b"3 300\ndog ", b"\x1f\x8bnot gzip", b"99999999999999 300\n", _EMPTY_GZIP],
)
def test_other_content_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    bad = tmp_path / name
    bad.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=r"bad\.bin"):
        Word2VecExtractor(weights=bad).embed_captions(["dog"])


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    small = KeyedVectors(8)
    small.add_vectors(["dog"], np.ones((1, 8), np.float32))
    small.save_word2vec_format(str(tmp_path / "small.bin"), binary=True)
    with pytest.raises(PrerequisiteError, match="vectors of 300 numbers; got 8"):
        Word2VecExtractor(weights=tmp_path / "small.bin").embed_captions(["dog"])


def test_missing_published_file_says_how_to_get_it() -> None:
    for use in (Word2VecExtractor.check, lambda extractor: extractor.embed_captions(["dog"])):
        with pytest.raises(PrerequisiteError, match="download weights --only word2vec"):
            use(Word2VecExtractor())


def test_converted_vectors_need_no_file_any_more(vectors: KeyedVectors, tmp_path: Path) -> None:
    path = tmp_path / "vectors.bin"
    vectors.save_word2vec_format(str(path), binary=True)
    extractor = Word2VecExtractor(weights=path)
    before = extractor.embed_captions(["dog"])
    copy = pickle.loads(pickle.dumps(extractor))
    path.unlink()
    copy.check()
    np.testing.assert_array_equal(copy.embed_captions(["dog"]), before)


def test_random_vectors_are_the_recorded_ones() -> None:
    """Derived from a hash alone, so these numbers hold on every platform."""
    embedding = Word2VecExtractor(weights="random", seed=0).embed_captions(["Dog"])[0]
    np.testing.assert_array_equal(embedding, Word2VecExtractor(weights="random", seed=0).embed_captions(["dog"])[0])
    assert embedding[:3].tolist() == RECORDED
    assert embedding.std() == pytest.approx(1, abs=0.1)


def test_pickled_extractor_carries_no_vectors(path: Path) -> None:
    extractor = Word2VecExtractor(weights=path)
    before = extractor.embed_captions(["dog"])
    carried = pickle.dumps(extractor)
    assert len(carried) < 4096
    np.testing.assert_array_equal(pickle.loads(carried).embed_captions(["dog"]), before)


RECORDED = [0.8942056894302368, -0.01626778207719326, -0.37613868713378906]
