"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real tables and the mock sky that are kept beside the project, not in it."""
    if not SHARED.is_dir():
        pytest.skip("the tables of ../shared/data are not here")
    return SHARED
