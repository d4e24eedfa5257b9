"""Names of other archives: a set is chosen as a whole, and what a user gives precedes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from astropy import units
from astropy.io.votable.exceptions import VOWarning
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

import starscale as ss
from starscale.surveys import load_survey, survey_names
from starscale.surveys.schema import Survey
from starscale.surveys.spelling import find_spelling, with_rename

COLUMNS = ("star", "ra", "dec", "e_ra", "teff", "mag")
FOREIGN = {"star": "Source", "ra": "RA_ICRS", "dec": "DE_ICRS", "e_ra": "e_RA_ICRS", "teff": "Teff", "mag": "Gmag"}
#: Uses names that mean another column in the survey file: `mag` is an error there, `teff` a magnitude.
TWISTED = {"star": "id_1", "ra": "lon", "dec": "lat", "e_ra": "mag", "mag": "teff"}


def survey(**given: Any) -> Survey:
    described = {name: {} for name in COLUMNS} | {
        "star": {"dtype": "int64", "aliases": ["starid"]},
        "e_ra": {"unit": "arcsec"},
        "ra": {"unit": "deg"},
        "dec": {"unit": "deg"},
    }
    names = {"vizier": FOREIGN, "twisted": TWISTED}
    document = {"names": names, **given}
    return Survey.model_validate(
        {"name": "s", "title": "S", "kind": "photometric", "id": {"column": "star"}, "columns": described}
        | document
    )


def test_own_names_aliases_and_case() -> None:
    found = find_spelling(["STARID", "RA", "ra", "other"], survey())
    assert found.columns == {"star": "STARID", "ra": "ra"}
    assert (found.chosen, found.rivals) == ("", ())


def test_a_set_is_chosen_by_the_number_of_its_names() -> None:
    found = find_spelling(["Source", "RA_ICRS", "DE_ICRS", "e_RA_ICRS"], survey())
    assert found.chosen == "vizier"
    assert found.columns == {"star": "Source", "ra": "RA_ICRS", "dec": "DE_ICRS", "e_ra": "e_RA_ICRS"}


def test_an_exact_name_of_the_survey_file_is_preferred_to_one_of_the_set() -> None:
    found = find_spelling(["star", "Source", "RA_ICRS", "DE_ICRS", "e_RA_ICRS"], survey())
    assert found.chosen == "vizier"
    assert found.columns["star"] == "star"


def test_names_that_mean_another_column_in_the_chosen_set_are_not_mixed_in() -> None:
    found = find_spelling(["id_1", "lon", "lat", "mag", "teff"], survey())
    assert found.chosen == "twisted"
    assert found.columns == {"star": "id_1", "ra": "lon", "dec": "lat", "e_ra": "mag", "mag": "teff"}
    # Without the name that the set wants for a column, the column stays unknown.
    assert "e_ra" not in find_spelling(["id_1", "lon", "lat", "teff"], survey()).columns


def test_the_names_of_the_survey_file_are_preferred_when_no_set_finds_more() -> None:
    found = find_spelling(["star", "ra", "dec", "Source", "RA_ICRS", "DE_ICRS"], survey())
    assert found.chosen == ""
    assert found.columns == {"star": "star", "ra": "ra", "dec": "dec"}


def test_two_sets_that_fit_equally_well_are_refused(tmp_path: Path) -> None:
    both = survey(names={"vizier": FOREIGN, "mirror": {**FOREIGN, "ra": "RAJ2000", "dec": "DEJ2000"}})
    table = pl.DataFrame({"Source": [1], "RA_ICRS": [1.0], "DE_ICRS": [1.0], "RAJ2000": [1.1], "DEJ2000": [1.2]})
    with pytest.raises(ss.InputError, match="vizier, mirror equally well"):
        ss.read(table, survey=both)
    same = survey(names={"vizier": FOREIGN, "mirror": dict(FOREIGN)})
    assert find_spelling(table.columns, same).rivals == ()


def test_the_unit_of_the_file_decides_and_that_of_the_set_stands_in() -> None:
    """Errors in mas at VizieR, in arcsec in the survey file: converted, also where a CSV file states no unit."""
    described = survey(names={"vizier": {**FOREIGN, "e_ra": {"name": "e_RA_ICRS", "unit": "mas"}}})
    rows = {"Source": [1, 2], "RA_ICRS": [1.0, 2.0], "DE_ICRS": [0.0, 0.0], "e_RA_ICRS": [250.0, 500.0]}
    assert ss.read(pl.DataFrame(rows), survey=described)["e_ra"].to_list() == [0.25, 0.5]
    stated = Table(rows)
    stated["e_RA_ICRS"].unit = units.deg
    assert ss.read(stated, survey=described)["e_ra"].to_list() == [250.0 * 3600, 500.0 * 3600]


def test_names_as_astropy_spells_those_of_a_votable(tmp_path: Path) -> None:
    """Characters that an identifier cannot have are underscores there, as in the tables of astroquery."""
    described = survey(names={"vizier": {"star": "2MASS", "teff": "[Fe/H]", "mag": "E(BP/RP)"}})
    with pytest.warns(VOWarning, match="Implicitly generating an ID"):
        Table({"2MASS": [1], "[Fe/H]": [0.5], "E(BP/RP)": [2.0]}).write(tmp_path / "t.vot", format="votable")
    spelled = Table.read(tmp_path / "t.vot", format="votable")
    assert find_spelling(spelled.colnames, described).columns.keys() == {"star", "teff", "mag"}
    assert ss.read(tmp_path / "t.vot", survey=described)["teff"].to_list() == [0.5]


def test_the_case_of_letters_tells_names_of_a_set_apart() -> None:
    """PSF magnitudes (upmag) are not taken for Petrosian ones (uPmag), nor a lower limit for an upper one."""
    assert (
        "psfmag_u" not in find_spelling(["objID", "RA_ICRS", "DE_ICRS", "uPmag"], load_survey("sdss_dr13")).columns
    )
    limits = find_spelling(["Source", "rgeo", "B_rgeo"], load_survey("bailer_jones_edr3")).columns
    assert limits == {"source_id": "Source", "r_med_geo": "rgeo", "r_hi_geo": "B_rgeo"}


def test_some_columns_of_a_table_are_found_as_in_the_whole() -> None:
    rows = {"id_1": [1], "lon": [10.0], "lat": [20.0], "mag": [0.5], "teff": [15.0]}
    assert ss.read(pl.DataFrame(rows), survey=survey(), columns=["star", "mag"])["mag"].to_list() == [15.0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"vizier": {"nothing": "X"}}, r"names\.vizier: columns that are not described .*nothing"),
        ({"vizier": {"ra": "X", "dec": "X"}}, r"names\.vizier: names that are given to two columns: X"),
    ],
)
def test_bad_sets_are_refused(names: dict[str, dict[str, str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        survey(names=names)


@pytest.mark.parametrize("name", survey_names())
def test_every_packaged_set_finds_its_columns(name: str) -> None:
    """A table with the names of one set is recognised, and every name of the set finds its column."""
    described = load_survey(name)
    for key, entries in described.names.items():
        wanted = {column: entry if isinstance(entry, str) else entry.name for column, entry in entries.items()}
        found = find_spelling(wanted.values(), described)
        assert {c: found.columns.get(c) for c in wanted} == wanted, key
        assert found.rivals == (), key


# ---- rename --------------------------------------------------------------------------


def test_a_renamed_column_precedes_every_name() -> None:
    table = pl.DataFrame({"my_id": [1], "Teff": [5000.0], "Gmag": [1.0], "star_2": [2]})
    read = ss.read(table, survey=survey(), rename={"star": "my_id"})
    assert read.columns == ["star", "teff", "mag", "star_2"]


def test_unknown_names_of_a_renaming_are_one_error() -> None:
    table = pl.DataFrame({"star": [1], "ra": [1.0]})
    with pytest.raises(ss.InputError) as caught:
        ss.read(table, survey=survey(), rename={"dec": "DECL", "teff": "T"})
    assert "DECL" in str(caught.value)
    assert "'T'" in str(caught.value)
    with pytest.raises(ss.InputError) as caught:
        ss.read(table, survey=survey(), rename={"declination": "ra", "temperature": "star"})
    assert "'declination'" in str(caught.value)
    assert "'temperature'" in str(caught.value)


def test_a_renamed_column_must_not_meet_one_of_its_new_name() -> None:
    table = pl.DataFrame({"star": [1], "ra": [1.0], "ra_2000": [1.1]})
    with pytest.raises(ss.InputError, match="has a column 'ra', and 'ra_2000' becomes 'ra'"):
        ss.read(table, survey=survey(), rename={"ra": "ra_2000"})


def test_rename_in_every_verb(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pl.DataFrame({"my_id": [1, 2], "ra": [1.0, 2.0], "dec": [0.0, 0.0]}).write_csv(path)
    described = survey(position={"ra": "ra", "dec": "dec"})
    rename = {"star": "my_id"}
    assert "3 of the 6 columns" in "\n".join(ss.check(path, survey=described, rename=rename))
    cleaned = ss.clean(path, survey=described, rename=rename).table
    assert cleaned is not None
    assert cleaned["star"].to_list() == [1, 2]
    ss.convert(path, tmp_path / "c.parquet", rename=rename)
    assert pl.read_parquet_schema(tmp_path / "c.parquet").names() == ["star", "ra", "dec"]
    pairs = ss.match(
        path, path, left_survey=described, right_survey=described, left_rename=rename, right_rename=rename,
        settings=ss.MatchConfig(method="nearest"),
    ).pairs  # fmt: skip
    assert pairs is not None
    assert pairs.height == 2


def test_convert_names_every_problem_of_a_renaming(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1], "b": [2]})
    with pytest.raises(ss.InputError) as caught:
        ss.convert(table, tmp_path / "c.parquet", rename={"b": "a", "x": "nothing"})
    assert "'nothing'" in str(caught.value)
    assert "column 'b': is there already" in str(caught.value)
    assert not (tmp_path / "c.parquet").exists()


# ---- any table -----------------------------------------------------------------------


def spellings() -> st.SearchStrategy[list[str]]:
    every = [*COLUMNS, *FOREIGN.values(), *TWISTED.values(), "other", "starid", "RA", "Dec"]
    return st.lists(st.sampled_from(list(dict.fromkeys(every))), unique=True, max_size=12)


def consistent(names: list[str]) -> None:
    described = survey()
    found = find_spelling(names, described)
    # No column of the table serves twice, and all are from the table.
    assert len(set(found.columns.values())) == len(found.columns)
    assert set(found.columns.values()) <= set(names)
    # Only one set of another archive is used, and none of its names for another column.
    sets = {"vizier": FOREIGN, "twisted": TWISTED}
    allowed = sets.get(found.chosen, {})
    for column, name in found.columns.items():
        meant = [c for c, there in allowed.items() if there.lower() == name.lower()]
        assert meant in ([], [column])
        if not meant:
            assert name.lower() in {column, *described.columns[column].aliases}
    # The order of the columns in the table does not matter, unless two names differ only in case.
    if len({name.lower() for name in names}) == len(names):
        assert find_spelling(names[::-1], described).columns == found.columns


@given(spellings())
def test_a_spelling_is_consistent(names: list[str]) -> None:
    consistent(names)


@given(st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(["p", "q", "r", "s"]), max_size=4))
def test_a_renaming_is_a_table_renamed_by_hand(rename: dict[str, str]) -> None:
    """Reading with `rename` gives what a table gives whose columns polars renamed."""
    rename = {new: old for new, old in rename.items() if list(rename.values()).count(old) == 1}
    named = [rename.get(name, name) for name in COLUMNS]
    table = pl.DataFrame({name: [1, 2] for name in named})
    read = ss.read(table, survey=survey(), rename=rename)
    by_hand = ss.read(table.rename({old: new for new, old in rename.items()}), survey=survey())
    assert read.equals(by_hand)
    assert with_rename(survey(), rename).rename == rename


def test_a_run_file_renames_columns_of_every_table(tmp_path: Path) -> None:
    """Unknown names of all tables are one error, before anything is read."""
    for name in ("gaia", "smss", "galah"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    tables = '[catalogue]\nsurvey = "gaia_dr3"\npath = "gaia.csv"\nrename = {{ {} = "a" }}\n'
    tables += '[[photometry]]\nsurvey = "skymapper_dr2"\npath = "smss.csv"\nrename = {{ {} = "a" }}\n'
    tables += '[[labels]]\nsurvey = "galah_dr3"\npath = "galah.csv"\nrename = {{ {} = "a" }}\n'
    path = tmp_path / "run.toml"
    path.write_text(tables.format("source_id", "object_id", "sobject_id"))
    with pytest.raises(ss.InputError) as caught:
        ss.check(path)
    # The tables lack all columns but those that have got a name.
    assert "column 'phot_g_mean_mag'" in str(caught.value)
    assert not any(name in str(caught.value) for name in ("'source_id'", "'object_id'", "is not a column of"))
    path.write_text(tables.format("sourceid", "id", "sobject"))
    with pytest.raises(ss.InputError) as caught:
        ss.check(path)
    assert all(f"{name!r} is not a column of" in str(caught.value) for name in ("sourceid", "id", "sobject"))
