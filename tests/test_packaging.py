"""What is installed is what is meant: names, files, and the cost of importing."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import t2av_bench

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"t2av_bench": "t2av_bench", "metrics": "t2av_bench.metrics", "models": "t2av_bench.models",
           "manifests": "t2av_bench.manifests"}  # fmt: skip
SKIPPED = {"__pycache__"}


def packages_on_disk() -> set[str]:
    names = set()
    for folder, package in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            names.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    return names


def data_on_disk() -> set[str]:
    """Files of the package folders that are no Python, as they must lie in the wheel."""
    found = set()
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc") and not SKIPPED & set(path.parts):
                found.add("/".join([*package.split("."), *path.relative_to(ROOT / folder).parts]))
    return found


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    assert packages_on_disk()
    assert listed == packages_on_disk()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist of a clean copy; without isolation, as the tests have no network."""
    out, copy = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("src") / "copy"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, files.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(built: Path):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"t2av_bench"}
    packages = {name.rsplit("/", 1)[0].replace("/", ".") for name in names if name.endswith("/__init__.py")}
    assert packages == packages_on_disk()
    assert data_on_disk() <= names
    assert "t2av_bench/py.typed" in names
    assert "t2av_bench/schemas/result.schema.json" in names


@pytest.mark.slow
def test_the_sdist_can_be_built_and_tested_again(built: Path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = (
        "setup.cfg",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "metrics/frechet.py",
        "tests/conftest.py",
    )
    assert [name for name in wanted if name not in names] == []


@pytest.mark.slow
def test_the_wheel_works_installed_and_adds_no_other_top_level_name(built: Path, tmp_path: Path):
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = (
        "import importlib.util as u, t2av_bench.metrics, t2av_bench.manifests, t2av_bench.cli;"
        f"assert t2av_bench.__file__.startswith({str(target)!r}), t2av_bench.__file__;"
        "assert [n for n in ('metrics', 'models', 'manifests') if u.find_spec(n)] == []"
    )
    env = {**os.environ, "PYTHONPATH": str(target)}
    subprocess.run(
        [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-c", code], cwd=tmp_path, env=env, check=True
    )


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    "statement",
    [
        "import t2av_bench",
        "from t2av_bench.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass",
        "import t2av_bench.metrics",
    ],
)
def test_importing_is_cheap(statement: str):
    heavy = {
        "torch",
        "gensim",
        "pandas",
        "diffusers",
        "transformers",
        "decord",
        "av",
        "jsonschema_rs",
        "jinja2",
        "torchvggish",
    }
    assert loaded_by(statement) & heavy == set()


def test_the_loader_workers_import_no_torch():
    """Each worker would pay seconds and hundreds of MB for it."""
    modules = ("extraction.embedding", "extraction.checking",
               "models.extractors.vggish", "models.extractors.c3d", "models.extractors.panns",
               "models.extractors.i3d", "models.extractors.word2vec", "models.extractors.lite_audio")  # fmt: skip
    statement = "\n".join(f"import t2av_bench.{module}" for module in modules)
    assert loaded_by(statement) & {"torch", "gensim", "torchvggish", "pytorchvideo"} == set()


@pytest.mark.parametrize("name", ["metrics", "models", "manifests"])
def test_a_second_copy_under_the_short_name_is_refused(name: str):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"ImportError: import this package as t2av_bench.{name}" in done.stderr


def every_module() -> list[str]:
    names = ["t2av_bench"]
    for package in FOLDERS.values():
        if package == "t2av_bench":
            roots = [str(ROOT / "t2av_bench")]
        else:
            roots = list(importlib.import_module(package).__path__)
            names.append(package)
        names += [
            info.name for info in pkgutil.walk_packages(roots, package + ".") if not info.name.endswith("__main__")
        ]
    return names


def test_every_name_in_all_exists():
    found = 0
    for name in every_module():
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            assert hasattr(module, public), f"{name}.{public}"
            found += 1
    assert found > 20


def test_an_unknown_attribute_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'evalute'"):
        _ = t2av_bench.evalute
