"""What every extractor must do, whatever it embeds; a new one adds a line to CASES."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from t2av_bench.errors import MetricError
from t2av_bench.models.extractors import Extractor, get_extractor

Rows = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Case:
    """An extractor, how to make rows for it, and for each of its options a value other than the default."""

    name: str
    rows: Rows
    batch_n: int
    other_options: dict[str, Any] = field(default_factory=dict)
    base_options: dict[str, Any] = field(default_factory=dict)


def _sound(samples_n: int) -> Rows:
    return lambda rng, rows_n: (0.2 * rng.standard_normal((rows_n, samples_n))).astype(np.float32)


def _frames(frames_n: int, side: int) -> Rows:
    return lambda rng, rows_n: rng.integers(0, 256, (rows_n, frames_n, side, side, 3), dtype=np.uint8)


def _captions(rng: np.random.Generator, rows_n: int) -> np.ndarray:
    words = np.array(["dog", "barks", "rain", "loud", "engine", "a"])
    return np.array([" ".join(rng.choice(words, 5)) for _ in range(rows_n)])


_RANDOM = {"weights": "random", "device": "cpu"}
CASES = [
    Case("vggish", _sound(15_600), 37, {"hop_s": 0.5, "relu": True, "seed": 1}, _RANDOM),
    Case("panns", _sound(16_000), 5, {"seed": 1}, _RANDOM),
    Case(
        "c3d",
        _frames(16, 112),
        3,
        {"layer": "fc7", "channel_order": "bgr", "channel_means": (90, 98, 102), "hop_s": 0.48, "seed": 1},
        _RANDOM,
    ),
    Case("i3d", _frames(8, 224), 2, {"hop_s": 0.48, "seed": 1}, _RANDOM),
    Case("word2vec", _captions, 5, {"seed": 1}, _RANDOM),
]


# I3D takes seconds per row; test_i3d.py covers it in the default run.
_MARKS = {"i3d": pytest.mark.slow}


@pytest.fixture(
    scope="module", params=[pytest.param(case, id=case.name, marks=_MARKS.get(case.name, ())) for case in CASES]
)
def case(request: pytest.FixtureRequest) -> Case:
    """Give one line of the table."""
    return request.param


@pytest.fixture(scope="module")
def extractor(case: Case) -> Extractor:
    """Make the extractor once for all tests of this module."""
    return get_extractor(case.name, **case.base_options)


@pytest.fixture(scope="module")
def batch(case: Case, extractor: Extractor) -> tuple[np.ndarray, np.ndarray]:
    """Give rows and their embeddings."""
    rows = case.rows(np.random.default_rng(5), case.batch_n)
    return rows, extractor.embed_batch(rows)


def test_embeddings_are_finite_float32_of_the_stated_dimension(
    case: Case, extractor: Extractor, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    _, embeddings = batch
    assert embeddings.shape == (case.batch_n, extractor.dim)
    assert embeddings.dtype == np.float32
    assert np.isfinite(embeddings).all()


def test_random_weights_tell_inputs_apart(batch: tuple[np.ndarray, np.ndarray]) -> None:
    """Activations neither die nor explode on the way through the layers."""
    _, embeddings = batch
    assert (embeddings != 0).mean() > 0.2
    assert 1e-3 < np.abs(embeddings).max() < 1e5
    differences = np.abs(embeddings[1:] - embeddings[0]).max(axis=1)
    assert (differences > 1e-3 * np.abs(embeddings).max()).all()


def test_an_embedding_does_not_depend_on_its_batch(
    case: Case, extractor: Extractor, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    """Bit for bit: alone, in another order, among others, in another place, in a batch of another size."""
    rows, embeddings = batch
    np.testing.assert_array_equal(extractor.embed_batch(rows[:1]), embeddings[:1])
    np.testing.assert_array_equal(extractor.embed_batch(rows[::-1])[::-1], embeddings)
    other = case.rows(np.random.default_rng(6), 1)
    np.testing.assert_array_equal(extractor.embed_batch(np.concatenate([other, rows[-1:]]))[1:], embeddings[-1:])


@pytest.mark.gpu
def test_cuda_agrees_with_cpu(case: Case, batch: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    rows, embeddings = batch
    on_cuda = get_extractor(case.name, **{**case.base_options, "device": "cuda"})
    embedded = on_cuda.embed_batch(rows)
    np.testing.assert_allclose(embedded, embeddings, rtol=0, atol=1e-4 * np.abs(embeddings).max())
    np.testing.assert_array_equal(on_cuda.embed_batch(rows[:1]), embedded[:1])


def test_no_rows_give_no_embeddings(case: Case, extractor: Extractor) -> None:
    assert extractor.embed_batch(case.rows(np.random.default_rng(0), 0)).shape == (0, extractor.dim)


def test_rows_are_left_alone_and_may_be_read_only(extractor: Extractor, batch: tuple[np.ndarray, np.ndarray]) -> None:
    rows, embeddings = batch
    frozen = rows[:1].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(extractor.embed_batch(frozen), embeddings[:1])
    np.testing.assert_array_equal(frozen, rows[:1])


def test_fingerprint_is_stable_and_changes_with_every_option(case: Case) -> None:
    fingerprints = {get_extractor(case.name, **case.base_options).fingerprint for _ in range(2)}
    assert len(fingerprints) == 1
    for option, value in case.other_options.items():
        fingerprints.add(get_extractor(case.name, **{**case.base_options, option: value}).fingerprint)
    assert len(fingerprints) == 1 + len(case.other_options)


def test_fingerprint_is_the_same_in_another_interpreter(case: Case) -> None:
    code = (
        "from t2av_bench.models.extractors import get_extractor\n"
        f"print(get_extractor({case.name!r}, **{case.base_options!r}).fingerprint)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == get_extractor(case.name, **case.base_options).fingerprint


def test_options_are_json_values(extractor: Extractor) -> None:
    options = extractor.options()
    assert json.loads(json.dumps(options)) == options


def test_random_weights_are_not_comparable(case: Case, extractor: Extractor) -> None:
    if case.base_options.get("weights") == "random":
        assert "random" in extractor.not_comparable
        assert extractor.weights_sha256 is None


def test_pickling_drops_the_network_and_the_copy_draws_the_same_one(
    extractor: Extractor, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    rows, embeddings = batch
    carried = pickle.dumps(extractor)
    assert len(carried) < 4096
    copy = pickle.loads(carried)
    assert copy.fingerprint == extractor.fingerprint
    np.testing.assert_array_equal(copy.embed_batch(rows[:1]), embeddings[:1])


def test_wrong_rows_are_refused(case: Case, extractor: Extractor) -> None:
    if extractor.modality == "text":
        pytest.skip("any text is a caption")
    rows = case.rows(np.random.default_rng(0), 1)
    with pytest.raises(MetricError, match=rf"{case.name} takes \w+ of shape"):
        extractor.embed_batch(rows[..., None])
    with pytest.raises(MetricError, match=rf"{case.name} takes \w+ of shape"):
        extractor.embed_batch(rows.astype(np.float64))


def test_input_that_is_not_finite_is_an_error(case: Case, extractor: Extractor) -> None:
    if extractor.modality != "audio":
        pytest.skip("bytes and text are always finite")
    rows = case.rows(np.random.default_rng(0), 2)
    rows[1, 100] = np.nan
    with pytest.raises(MetricError, match="1 of 2 embeddings are not finite"):
        extractor.embed_batch(rows)


def test_importing_and_choosing_extractors_does_not_import_torch() -> None:
    """Loader workers and ``--help`` stay light; the networks load when the first batch is embedded."""
    code = (
        "import sys\n"
        "from t2av_bench.models.extractors.registry import extractor_class, extractor_names\n"
        "for name in extractor_names():\n"
        "    found = extractor_class(name)\n"
        "    extractor = found(weights='random') if found.has_network else found()\n"
        "    extractor.check()\n"
        "    extractor.fingerprint\n"
        "print([name for name in ('torch', 'gensim', 'torchvggish', 'pytorchvideo') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
