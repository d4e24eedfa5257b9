"""The error for a path that does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from starscale.vocabulary.errors import InputError
from starscale.vocabulary.paths import missing_path, must_exist


def test_a_path_that_exists_is_accepted(tmp_path: Path) -> None:
    must_exist(tmp_path)
    (tmp_path / "gaia.parquet").touch()
    must_exist(tmp_path / "gaia.parquet")


def test_a_missing_file_names_the_most_similar_one(tmp_path: Path) -> None:
    (tmp_path / "gaia.parquet").touch()
    with pytest.raises(InputError) as caught:
        must_exist(tmp_path / "gaia.parqet", "a table of stars", role="[catalogue] path")
    (problem,) = caught.value.problems
    assert problem.where == str(tmp_path / "gaia.parqet")
    assert problem.found == "no such file or folder ([catalogue] path)"
    assert problem.expected == "a table of stars"
    assert problem.fix == "Did you mean 'gaia.parquet'?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    problem = missing_path(tmp_path / "nowhere" / "gaia.parquet")
    assert problem.found == f"no such file or folder: the folder {str(tmp_path / 'nowhere')!r} does not exist"
    assert problem.fix == ""


@pytest.mark.parametrize("address", ["https://example.org/a.fits", "s3://bucket/a.parquet", "ftp://host/a.csv"])
def test_an_address_is_not_a_file(address: str) -> None:
    # A Path merges the two slashes of an address.
    problem = missing_path(Path(address))
    assert problem.found == "is an address, not a file"
    assert problem.fix == "Download the table first."
