"""The command under torchrun, in processes of their own on loopback: the same bits, one voice, and no hanging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

import t2av_bench as tb
from t2av_bench.manifests import Manifest, write_manifest
from t2av_bench.manifests.mini import render
from t2av_bench.media import read_audio

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
SUPPORT = ROOT / "tests" / "support"
N = 5


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the processes have: on some processors VGGish's linear layers round otherwise with another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest, its media, and predictions: each clip's sound played backwards."""
    out = tmp_path_factory.mktemp("world")
    rendered = render("val", N, 0, out / "data", num_workers=0, progress=False)
    write_manifest(Manifest("ours", rendered.table), out / "manifest.csv")
    (out / "preds").mkdir()
    for clip in rendered.clips():
        sound, sr_hz = read_audio(out / "data" / clip.media)
        soundfile.write(out / "preds" / f"{clip.clip_id}.wav", sound[::-1], sr_hz)
    return out


def torchrun(n: int, *program: str | Path) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={n}", "--master-addr=127.0.0.1"),
        *("--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"),
        *map(str, program),
    ]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}", "OMP_NUM_THREADS": "1", **more}


def run(n: int, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = torchrun(n, SUPPORT / "shared_command.py", *arguments)
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=300)


def options(world: Path, out: Path, **more: str | Path) -> list[str | Path]:
    chosen: dict[str, str | Path] = {
        "--pred-dir": world / "preds",
        "--manifest": world / "manifest.csv",
        "--data-dir": world / "data",
        "--features": "lite",
        "--num-workers": "0",
        "-o": out,
        **{f"--{name.replace('_', '-')}": value for name, value in more.items()},
    }
    return ["evaluate", *(part for pair in chosen.items() for part in pair)]


def scores(path: Path) -> dict[str, Any]:
    """What must be the same bits: scores, standard errors, and the values of clips."""
    record = json.loads(path.read_text())
    return {name: record[name] for name in ("scores", "absent", "counts", "problems", "notes")} | {
        "clips": path.with_name(f"{path.stem}.per_clip.csv").read_text()
    }


@pytest.mark.parametrize(("n", "own_homes"), [(2, False), (3, True)])
def test_the_command_gives_the_bits_of_a_single_process(n: int, own_homes: bool, world: Path, tmp_path: Path):
    features = "lite" if own_homes else "vggish,lite-video,lite-text"
    alone = tb.evaluate(
        world / "preds",
        manifest=world / "manifest.csv",
        data_dir=world / "data",
        features=features,
        weights="random",
        cache_dir=tmp_path / "alone",
        num_workers=1,
    )
    alone.save(tmp_path / "alone.json")
    done = run(
        n,
        *options(world, tmp_path / "shared.json", features=features, weights="random", num_workers="1"),
        **({"OWN_HOMES": "1"} if own_homes else {}),
        T2AV_BENCH_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert scores(tmp_path / "shared.json") == scores(tmp_path / "alone.json")
    assert done.stdout.count("protocol t2av-bench/1") == 1, "one table"
    assert done.stderr.count("Result written to") == 1
    assert "Traceback" not in done.stderr
    if own_homes:
        assert all(any((tmp_path / "home" / f"{rank}").rglob("*.npy")) for rank in range(n))


def test_another_number_of_threads_moves_scores_by_rounding_only(world: Path, tmp_path: Path):
    found = []
    for threads_n in (1, 2):
        torch.set_num_threads(threads_n)
        result = tb.evaluate(
            world / "preds",
            manifest=world / "manifest.csv",
            data_dir=world / "data",
            features="vggish,lite-video,lite-text",
            metrics=["FAD", "FAVD", "FAD-b", "FAVD-b"],
            weights="random",
            cache_dir=tmp_path / str(threads_n),
            num_workers=1,
        )
        found.append({name: score.value for name, score in result.scores.items()})
    assert found[0] == pytest.approx(found[1], rel=3e-6)


def ours(text: str) -> str:
    """What the processes have written, without what torchrun says when one has failed."""
    return "".join(
        line for line in text.partition("Traceback")[0].splitlines(keepends=True) if "torch/distributed" not in line
    )


def test_a_bad_clip_is_named_once_by_all(world: Path, tmp_path: Path):
    preds = tmp_path / "preds"
    preds.mkdir()
    for path in (world / "preds").iterdir():
        (preds / path.name).hardlink_to(path)
    bad = sorted(preds.iterdir())[3]
    bad.unlink()
    bad.write_bytes(b"nothing")
    done = run(2, *options(world, tmp_path / "r.json", pred_dir=preds, cache_dir=tmp_path / "cache"))
    assert done.returncode == 1
    assert ours(done.stderr).count("Error: ") == 1
    assert ours(done.stderr).count(bad.name) == 1
    # torchrun's list of failures: every process has ended by itself.
    assert done.stderr.count("exitcode  : 1 ") == 2, done.stderr
    assert not (tmp_path / "r.json").exists()


def test_wrong_usage_is_told_once(world: Path, tmp_path: Path):
    done = run(2, "evaluate", "--pred-dir", world / "preds", "--nonsense")
    assert done.returncode == 1
    assert ours(done.stderr).count("No such option") == 1
    assert done.stderr.count("exitcode  : 2 ") == 2, done.stderr


def test_when_one_process_fails_the_others_do_not_work_on(world: Path, tmp_path: Path):
    start_s = time.monotonic()
    done = run(2, *options(world, tmp_path / "r.json", cache_dir=tmp_path / "cache"), GOES_WRONG="failure")
    assert done.returncode == 1
    assert ours(done.stderr).count("Error: the disk of process 1 is full") == 1
    assert time.monotonic() < start_s + 50.0


def test_a_run_whose_process_died_ends(world: Path, tmp_path: Path):
    start_s = time.monotonic()
    done = run(2, *options(world, tmp_path / "r.json", cache_dir=tmp_path / "cache"), GOES_WRONG="death")
    assert done.returncode == 1
    assert "SIGKILL" in done.stderr
    assert ours(done.stderr).count("the same command goes on from there") == 1
    assert time.monotonic() < start_s + 50.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_all(number: signal.Signals, world: Path, tmp_path: Path):
    arguments = options(world, tmp_path / "r.json", cache_dir=tmp_path / "cache")
    command = torchrun(2, SUPPORT / "shared_command.py", *arguments)
    with subprocess.Popen(
        command,
        env=environment(GOES_WRONG="nothing"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "embedding\n"
        start_s = time.monotonic()
        if number == signal.SIGINT:  # a terminal sends it to all
            os.killpg(started.pid, number)
        else:
            started.send_signal(number)
        _, said = started.communicate(timeout=60)
    assert started.returncode != 0
    assert time.monotonic() < start_s + 25.0
    assert said.count("the same command goes on from there") == 1, said


def test_generate_and_validate_metrics_share_their_work(world: Path, tmp_path: Path):
    arguments = ["generate", "--manifest", world / "manifest.csv", "--data-dir", world / "data", "--steps", "1"]
    done = run(2, *arguments, "--batch-size", "2", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"{N} sounds written to") == 1
    assert len(list((tmp_path / "out").glob("*.wav"))) == N
    done = run(2, "generate", "--video", world / "data" / "x.mp4", "--out", tmp_path / "one.wav")
    assert ours(done.stderr).count("run this command without torchrun") == 1

    arguments = ["validate-metrics", "--manifest", world / "manifest.csv", "--data-dir", world / "data", "--features",
                 "lite", "--metrics", "FAD,FAVD-b", "--distortions", "noise,swap", "--num-workers", "1",
                 "--cache-dir", tmp_path / "cache"]  # fmt: skip
    done = run(2, *arguments, "-o", tmp_path / "v.json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Validation written to") == 1
    found = json.loads((tmp_path / "v.json").read_text())
    alone = tb.validate_metrics(
        world / "manifest.csv",
        world / "data",
        features="lite",
        metrics=["FAD", "FAVD-b"],
        distortions=["noise", "swap"],
        cache_dir=tmp_path / "cache",
        num_workers=0,
    ).to_json()
    assert found["responses"] == alone["responses"]


def test_a_training_job_with_its_own_group_is_alone_unless_it_asks(world: Path, tmp_path: Path):
    program = [SUPPORT / "training_job.py", world / "preds", world / "manifest.csv", world / "data", tmp_path]
    done = subprocess.run(
        torchrun(2, *program),
        env=environment(GLOO_SOCKET_IFNAME="lo"),
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [scores(path) for path in sorted(tmp_path.glob("*.json"))]
    assert len(found) == 6
    assert all(one == found[0] for one in found)
    assert {path.name for path in (tmp_path / "0").rglob("*.npy")} == {
        path.name for path in (tmp_path / "cache").rglob("*.npy")
    }
