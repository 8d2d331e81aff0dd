"""Public names are documented, their examples run, and the README's code is real."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import click
import numpy as np
import pytest

import t2av_bench

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"t2av_bench": "t2av_bench", "metrics": "t2av_bench.metrics", "models": "t2av_bench.models",
           "manifests": "t2av_bench.manifests"}  # fmt: skip


def module_files() -> dict[str, Path]:
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    found.pop("t2av_bench.__main__")
    return found


MODULES = module_files()


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name: str):
    tree = ast.parse(MODULES[name].read_text())
    assert ast.get_docstring(tree), "the module"
    bare = []
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            members = [m for m in getattr(node, "body", []) if isinstance(m, ast.FunctionDef)]
            public = [m for m in members if not m.name.startswith("_")] if isinstance(node, ast.ClassDef) else []
            bare += [n.name for n in (node, *public) if not ast.get_docstring(n) and not overrides(name, node, n)]
    assert bare == []


def overrides(module: str, owner: ast.AST, member: ast.AST) -> bool:
    """Whether a method only fills in what a base class has documented."""
    if owner is member or not isinstance(owner, ast.ClassDef):
        return False
    found = getattr(importlib.import_module(module), owner.name)
    return any(member.name in vars(base) for base in found.__mro__[1:])


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str):
    if ">>>" in MODULES[name].read_text():
        failed, tried = doctest.testmod(importlib.import_module(name))
        assert (failed, tried > 0) == (0, True)


def test_public_functions_say_what_they_take_and_raise():
    public_functions = (t2av_bench.evaluate, t2av_bench.compare, t2av_bench.correlate, t2av_bench.load_manifest)
    for public in (*public_functions, t2av_bench.report, t2av_bench.metrics.frechet_distance):
        text = inspect.getdoc(public) or ""
        assert "Raises\n------" in text, public
        assert set(inspect.signature(public).parameters) <= set(re.findall(r"\w+", text)), public


def test_the_readmes_python_compiles_and_names_what_exists():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tb":
                assert hasattr(t2av_bench, node.attr), node.attr


def test_the_readmes_extractor_works(tmp_path: Path):
    import soundfile

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    scope: dict[str, object] = {}
    exec(next(block for block in blocks if "class Loudness" in block), scope)
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 32_000), 16_000, subtype="FLOAT")
    rows = scope["Loudness"]().embed_file(tmp_path / "a.wav")  # type: ignore[operator]
    np.testing.assert_allclose(rows, np.full((4, 1), -20.0), atol=1e-2)


def test_the_readmes_commands_and_files_exist():
    text = (ROOT / "README.md").read_text()
    from t2av_bench.cli import main

    for command, rest in re.findall(r"^t2av-bench ([a-z][a-z-]+)([^#\n]*)", text, flags=re.MULTILINE):
        called = main.get_command(None, command)
        if isinstance(called, click.Group):
            called = called.get_command(None, rest.split()[0])
        options = {option for param in called.params for option in param.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z-]+", rest)) <= options, command
    for name in re.findall(r"`((?:tests|metrics|models|manifests|benchmarks)/[\w/*]+\.py)`", text):
        assert list(ROOT.glob(name)), name


def test_every_expected_error_in_the_tests_has_its_message():
    bare = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_raises = isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.raises", "pytest.warns")
            # Ctrl-C carries no message.
            is_raises = is_raises and ast.unparse(node.args[0]) != "KeyboardInterrupt"
            if is_raises and "match" not in {keyword.arg for keyword in node.keywords}:
                bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
