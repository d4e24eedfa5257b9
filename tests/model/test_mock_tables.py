"""A model of real stars that is applied to simulated ones: its catalogue says that they are simulated."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.table import Table

import starscale as ss
from starscale.tables.api import is_mock
from support.small_model import small_model, small_stars


@pytest.mark.parametrize("mock", [False, True])
def test_a_catalogue_of_mock_stars_says_so(mock: bool, tmp_path: Path) -> None:
    model = small_model()
    assert not model.mock
    ss.write(small_stars(50), tmp_path / "stars.fits", provenance={"mock": mock})
    ss.predict(model, tmp_path / "stars.fits", output=tmp_path / "file.parquet")
    assert is_mock(tmp_path / "file.parquet") is mock
    ss.convert(tmp_path / "stars.fits", tmp_path / "stars.ecsv")
    # A table of polars does not say where its rows come from, one of astropy does.
    ss.predict(model, Table.read(tmp_path / "stars.ecsv"), output=tmp_path / "memory.parquet")
    assert is_mock(tmp_path / "memory.parquet") is mock
