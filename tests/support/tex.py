"""A real TeX for tables that go into papers, as the distribution ships it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PREAMBLE = r"\documentclass{article}\usepackage{booktabs}\usepackage[paperwidth=120cm]{geometry}\begin{document}"


def compile_latex(text: str, folder: Path) -> str:
    """Compile the body of a document, let any error fail the test, and return TeX's log.

    Without TeX the test is skipped, except in CI, which installs it.
    """
    if shutil.which("pdflatex") is None:
        reason = "needs pdflatex with booktabs (Debian: apt-get install texlive-latex-base texlive-latex-recommended)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    (folder / "t.tex").write_text(f"{PREAMBLE}\n{text}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "t.log").read_text(encoding="utf-8", errors="replace")
    assert "Missing character" not in log
    return log
