"""What the tests of the formulas share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict:
    """Values that other projects' own code gave for seeded arrays; see README.md beside the file."""
    return json.loads((shared / "golden" / "setlevel.json").read_text())
