"""Fixtures that every test may use."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from matplotlib.figure import Figure

import starscale as ss
from starscale.plots import style

# The same examples in every run, so that a change fails by its own fault; STARSCALE_NEW_EXAMPLES=1 draws others.
settings.register_profile("starscale", derandomize=not os.environ.get("STARSCALE_NEW_EXAMPLES"), deadline=None)
settings.load_profile("starscale")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real tables and the mock sky that are kept beside the project, not in it."""
    if not SHARED.is_dir():
        pytest.skip("the tables of ../shared/data are not here")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models that the user of this machine has by name take no part, and none is added to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STARSCALE_MODELS", str(tmp_path_factory.mktemp("models")))
        yield


#: Folders of the tests that look at pictures.
_PICTURED = {"plots", "reports"}
#: A picture of one pixel.
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
_draw = style.png, style.pdf
_pictured = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say, before its fixtures, whether a test looks at pictures."""
    global _pictured
    _pictured = not _PICTURED.isdisjoint(item.path.parts)


def _png(figure: Figure, *, mock: bool = False) -> bytes:
    if _pictured:
        return _draw[0](figure, mock=mock)
    return _PIXEL


def _pdf(figure: Figure) -> bytes:
    return _draw[1](figure) if _pictured else b"%PDF"


@pytest.fixture(scope="session", autouse=True)
def _pictures_where_they_are_looked_at() -> Iterator[None]:
    """Drawing the pictures of a report takes most of the time of a small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "png", _png)
        patch.setattr(style, "pdf", _pdf)
        yield


RUN_FILE = """\
title = "a small run"
mock = true
seed = 3

[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"

[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "mock/bailer_jones_edr3.parquet"

[[photometry]]
survey = "skymapper_dr2"
path = "mock/skymapper_dr2.parquet"

[[labels]]
survey = "galah_dr3"
path = "mock/galah_dr3.parquet"

[model]
kind = "mixture"
members = 1
epochs = 8
batch = 16
width = 32
layers = 1
frequencies = 4

[[compare]]
name = "truth (mock)"
path = "mock/truth.parquet"
columns = { teff = "teff", logg = "logg", fe_h = "fe_h" }
"""


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small mock sky in ``mock/`` and a run file ``run.toml`` with a tiny network."""
    folder = tmp_path_factory.mktemp("sky")
    ss.make_mock(folder / "mock", stars=8000, seed=5)
    (folder / "run.toml").write_text(RUN_FILE)
    return folder


@pytest.fixture(scope="session")
def finished(sky: Path) -> Path:
    """The folder of a finished run on the small mock sky; tests must not change it."""
    ss.run(sky / "run.toml", sky / "run")
    return sky / "run"
