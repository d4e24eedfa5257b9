"""Drafts of survey files: the guesses on the packaged surveys' own columns, and that every draft can be read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from astropy import units
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

import starscale as ss
from starscale.surveys import load_survey
from starscale.surveys.drafts import draft, survey_name
from starscale.surveys.schema import Survey
from starscale.vocabulary.strict import validate


def drafted(name: str) -> Survey:
    """Return the draft that the columns of a packaged survey lead to."""
    described = load_survey(name).described()
    return validate(Survey, tomllib.loads(draft(described, name)), name)


@pytest.mark.parametrize(
    "name", ["gaia_dr3", "skymapper_dr4", "tmass", "des_y6", "rubin_dp1", "apogee_dr17", "galah_dr3"]
)
def test_roles_of_packaged_surveys_are_found_again(name: str) -> None:
    given, found = load_survey(name), drafted(name)
    assert found.id.column == given.id.column
    assert found.kind == given.kind
    assert given.position is not None
    assert found.position is not None
    assert (found.position.ra, found.position.dec) == (given.position.ra, given.position.dec)
    assert {k: b.magnitude for k, b in found.bands.items()} == {k: b.magnitude for k, b in given.bands.items()}
    assert {k: v.value for k, v in found.labels.items() if k in given.labels} == {
        k: v.value for k, v in given.labels.items()
    }


def test_a_draft_says_why_and_what_is_missing(tmp_path: Path) -> None:
    table = Table({"objID": [1, 2], "RAJ2000": [1.0, 2.0], "DEJ2000": [0.0, 1.0], "gmag": [15.0, 16.0]})
    table["e_gmag"] = [0.01, 0.02]
    table["RAJ2000"].unit = units.deg
    table["[Fe/H]"] = [0.0, -1.0]
    table.write(tmp_path / "mine.ecsv")
    text = ss.draft_survey(tmp_path / "mine.ecsv", tmp_path / "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == text
    assert "# Not found, add what the table has: ra_error, dec_error, epoch" in text
    found = load_survey(tmp_path / "mine.toml")
    assert found.name == "mine"
    assert {k: (b.magnitude, b.error) for k, b in found.bands.items()} == {"g": ("gmag", "e_gmag")}
    assert found.labels["fe_h"].value == "[Fe/H]"
    assert "6 of the 6 columns" in "\n".join(ss.check(tmp_path / "mine.ecsv", survey=tmp_path / "mine.toml"))


def test_an_output_that_is_no_survey_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ss.InputError, match=r"does not end in \.toml"):
        ss.draft_survey(pl.DataFrame({"id": [1]}), tmp_path / "mine.txt")
    with pytest.raises(ss.InputError, match="no columns of numbers or texts"):
        ss.draft_survey(pl.DataFrame({"spectrum": [[1.0, 2.0]]}))


def test_a_survey_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("edited")
    with pytest.raises(ss.InputError, match="is there already"):
        ss.draft_survey(pl.DataFrame({"id": [1]}), tmp_path / "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == "edited"


@pytest.mark.parametrize(
    ("text", "name"), [("My Table-2", "my_table_2"), ("2mass", "survey_2mass"), ("", "survey")]
)
def test_names_of_drafts_are_names_of_surveys(text: str, name: str) -> None:
    assert survey_name(text) == name


NAMES = [
    "id",
    "Source",
    "RA",
    "DE_ICRS",
    "ra_error",
    "e_RA",
    "mjd",
    "jd",
    "pmRA",
    "pmDE",
    "gmag",
    "Gmag",
    "e_gmag",
    "W1mag",
]
NAMES += ["Teff", "logg", "[Fe/H]", "feh_err", "snrg", "gaiadr3_source_id", "a b", 'quo"te', "é", "BP-RP"]
VALUES: list[Any] = [[1, 2], [1.5, 2.5], ["a", "b"], [True, False]]


def readable(columns: dict[str, list[Any]]) -> None:
    table = pl.DataFrame(columns)
    text = ss.draft_survey(table)
    found = validate(Survey, tomllib.loads(text), "draft")
    assert set(found.columns) <= set(table.columns)
    # Whatever was guessed, no column has two roles.
    roles = found.used_columns()
    assert len(roles) == len(set(roles))
    if table.schema[found.id.column] in (pl.Int64, pl.String):
        assert ss.read(table, survey=found).height == table.height


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), min_size=1, max_size=12))
def test_every_draft_reads_its_table(columns: dict[str, list[Any]]) -> None:
    readable(columns)


def test_a_survey_is_described_with_its_cuts_and_sources() -> None:
    text = ss.describe_survey(load_survey("gaia_dr3"))
    survey = load_survey("gaia_dr3")
    for part in (
        *(cut.name for cut in survey.cuts),
        *survey.columns,
        *survey.citation,
        "names vizier",
        "R = 2.74",
    ):
        assert part in text
