"""The caption descriptor: stable across processes, sensible in any script."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from t2av_bench.errors import ManifestError
from t2av_bench.models.extractors import get_extractor
from t2av_bench.models.extractors.lite_text import LiteTextExtractor, words


def embed(*captions: str) -> npt.NDArray[np.float32]:
    return LiteTextExtractor().embed_captions(list(captions))


def similarity(one: str, other: str) -> float:
    first, second = embed(one, other)
    return float(first @ second)


def test_rows_have_unit_length() -> None:
    rows = embed("A ball bounces on a red floor", "x", "狗在叫")
    assert rows.shape == (3, 64)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_no_captions_give_no_rows() -> None:
    assert embed().shape == (0, 64)


def test_golden_values() -> None:
    (row,) = embed("A dog barks")
    places = np.flatnonzero(row)
    assert dict(zip(places.tolist(), (round(float(value), 5) for value in row[places]), strict=True)) == GOLDEN


def test_another_process_hashes_alike() -> None:
    code = (
        "from t2av_bench.models.extractors.lite_text import LiteTextExtractor as E;"
        "print(E().embed_captions(['Ein Hund bellt, 狗在叫']).tobytes().hex())"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == embed("Ein Hund bellt, 狗在叫").tobytes().hex()


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog's bark, twice!", ["a", "dogs", "bark", "twice"]),
        ("rock\u2019n\u2019roll", ["rocknroll"]),
        ("re-entry_2", ["re", "entry", "2"]),
        ("\t Two\nlines ", ["two", "lines"]),
        ("\uff21\uff22 Stra\u00dfe", ["ab", "strasse"]),
        ("Cafe\u0301", ["caf\u00e9"]),
        ("狗在叫。", ["狗", "在", "叫"]),
        ("hi狗2", ["hi", "狗", "2"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("개가 짖는다", ["개가", "짖는다"]),
        ("🐕 barks", ["barks"]),
        ("...", []),
    ],
)
def test_words(caption: str, expected: list[str]) -> None:
    assert words(caption) == expected


def test_case_punctuation_and_spacing_make_no_difference() -> None:
    np.testing.assert_array_equal(embed("A dog barks.")[0], embed("  a DOG, barks ")[0])


def test_the_order_of_words_makes_a_small_difference() -> None:
    same_words = similarity("a dog chases a cat", "a cat chases a dog")
    other_words = similarity("a dog chases a cat", "rain falls on the roof")
    assert other_words + 0.3 < same_words < 0.99


def test_captions_that_share_more_are_closer() -> None:
    assert similarity("a ball bounces on a red floor", "a ball bounces on a green floor") > 0.7
    assert similarity("狗在大声叫", "狗在叫") > similarity("狗在大声叫", "下雨了") + 0.3


def test_unrelated_words_are_uncorrelated_on_average() -> None:
    rows = embed(*(f"word{number}" for number in range(2000)))
    assert abs(rows[:1000] @ rows[1000:].T).mean() < 2 / 64
    assert abs((rows[:1000] @ rows[1000:].T).mean()) < 0.005


@pytest.mark.parametrize("caption", ["", "  ", "?!...", "🐕"])
def test_a_caption_without_words_is_named(caption: str) -> None:
    with pytest.raises(ManifestError, match=r"a caption must hold at least one letter or digit; got ") as raised:
        embed("fine", caption)
    assert repr(caption) in str(raised.value)


def test_a_row_does_not_depend_on_its_batch() -> None:
    np.testing.assert_array_equal(embed("a dog", "a cat", "rain")[1], embed("a cat")[0])


def test_the_fingerprint_is_that_of_version_1() -> None:
    """Change this only together with the version: it keys caches and stands in results."""
    expected = "d751f421157e34fe6250d5c94196eac5afad160a0189f126f45c3ba23a33864b"
    assert get_extractor("lite-text").fingerprint == expected


def test_it_is_one_row_per_clip_and_not_for_leaderboards() -> None:
    extractor = get_extractor("lite-text")
    assert (extractor.unit, extractor.rows_n(10.0)) == ("clip", 1)
    assert "signal statistics" in extractor.not_comparable


GOLDEN: dict[int, float] = {28: 0.63246, 32: -0.63246, 40: -0.31623, 63: -0.31623}
