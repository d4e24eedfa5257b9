"""Cleaning from file to file gives the same rows as in memory, however the table is divided."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.io import joining
from starscale.tables import stream
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut

Damage = Callable[[pl.DataFrame], pl.DataFrame]
CUTS = Cuts(without=("ruwe",), extra=(ExtraCut(name="near", keep="r_med_geo < 2000"),))


@pytest.fixture(params=[(100, 50), (stream.CHUNK, joining.HELD)], ids=["in pieces", "at once"])
def divided(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a hundred rows and joins on disk, and everything at once."""
    monkeypatch.setattr(stream, "CHUNK", request.param[0])
    monkeypatch.setattr(joining, "HELD", request.param[1])


@pytest.fixture
def stars(sky: Path, tmp_path: Path) -> pl.DataFrame:
    """A part of the mock sky, with rows that have no identifier."""
    table = io.read(sky / "mock" / "gaia_dr3.parquet")[::8]
    lost = pl.int_range(pl.len()) % 97 == 3
    table = table.with_columns(source_id=pl.when(lost).then(None).otherwise("source_id"))
    ss.write(table, tmp_path / "gaia.parquet", surveys=["gaia_dr3"], provenance={"mock": True})
    return table


def other_rows_kept(folder: Path, *files: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(files)


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("suffix", ["parquet", "fits"])
def test_same_as_in_memory(sky: Path, stars: pl.DataFrame, tmp_path: Path, suffix: str) -> None:
    distances = sky / "mock" / "bailer_jones_edr3.parquet"
    expected = ss.clean(stars, survey="gaia_dr3", join=[(distances, "bailer_jones_edr3")], cuts=CUTS)
    assert 0 < expected.table.height < stars.height
    output = tmp_path / f"clean.{suffix}"
    join = [(distances, "bailer_jones_edr3")]
    cleaned = ss.clean(tmp_path / "gaia.parquet", survey="gaia_dr3", join=join, cuts=CUTS, output=output)
    assert cleaned.table is None
    assert cleaned.attrition == expected.attrition
    if suffix == "parquet":
        assert_frame_equal(io.read(output), expected.table)
    else:
        assert io.read(output)["source_id"].to_list() == expected.table["source_id"].to_list()
    about = json.loads(io.open_table(output).metadata["starscale.provenance"])
    assert about["mock"] is True
    assert about["settings"]["attrition"]["n_in"] == stars.height
    assert other_rows_kept(tmp_path, "gaia.parquet", output.name)


def test_a_table_in_memory_to_a_file(stars: pl.DataFrame, tmp_path: Path) -> None:
    cuts = Cuts(without=("distance",))
    expected = ss.clean(stars, survey="gaia_dr3", cuts=cuts)
    cleaned = ss.clean(stars, survey="gaia_dr3", cuts=cuts, output=tmp_path / "clean.parquet")
    assert cleaned.table is None
    assert cleaned.attrition == expected.attrition
    assert_frame_equal(io.read(tmp_path / "clean.parquet"), expected.table)
    about = json.loads(io.open_table(tmp_path / "clean.parquet").metadata["starscale.provenance"])
    assert about["settings"]["attrition"]["n_in"] == stars.height


@pytest.mark.usefixtures("divided")
def test_silent_by_default(
    sky: Path, stars: pl.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    join = [(sky / "mock" / "bailer_jones_edr3.parquet", "bailer_jones_edr3")]
    ss.clean(stars, survey="gaia_dr3", join=join)
    ss.clean(tmp_path / "gaia.parquet", survey="gaia_dr3", join=join, output=tmp_path / "clean.parquet")
    assert capfd.readouterr() == ("", "")
    ss.clean(
        tmp_path / "gaia.parquet", survey="gaia_dr3", join=join, output=tmp_path / "clean.parquet", progress=True
    )
    assert "cleaning gaia_dr3: " in capfd.readouterr().err


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: pl.concat([t, t[200:203]]), r"'source_id': 3 rows repeat an identifier .*first: \d{10}"),
        (lambda t: t.with_columns(source_id=pl.lit(None, dtype=pl.Int64)), "all identifiers are missing"),
        (lambda t: t.clear(), "has no rows"),
        (lambda t: t.drop("ruwe"), "column 'ruwe'.* is missing, but needed by the cut 'ruwe'"),
        (lambda t: t.drop("source_id"), "column 'source_id': is missing"),
        (lambda t: t.with_columns(ruwe=pl.col("ruwe").cast(pl.String).replace("1", "x") + "x"), "not of type"),
        (lambda t: t.with_columns(dec=95.0 + pl.col("ra") * 0), r"'dec': \d+ of \d+ values are out of range"),
    ],
    ids=["ids twice", "no ids", "no rows", "no column of a cut", "no column of ids", "texts", "off the sphere"],
)
def test_what_is_refused_leaves_nothing(stars: pl.DataFrame, tmp_path: Path, damage: Damage, words: str) -> None:
    io.write(damage(stars), tmp_path / "gaia.parquet")
    io.write(pl.DataFrame({"older": [1]}), tmp_path / "clean.parquet")
    with pytest.raises(InputError, match=words):
        ss.clean(
            tmp_path / "gaia.parquet",
            survey="gaia_dr3",
            cuts=Cuts(without=("distance",)),
            output=tmp_path / "clean.parquet",
        )
    with pytest.raises(InputError, match=words):
        ss.clean(tmp_path / "gaia.parquet", survey="gaia_dr3", cuts=Cuts(without=("distance",)))
    assert io.read(tmp_path / "clean.parquet").columns == ["older"], "an older file stays as it was"
    assert other_rows_kept(tmp_path, "gaia.parquet", "clean.parquet")


@pytest.mark.usefixtures("divided")
def test_a_joined_table_may_not_multiply_stars(sky: Path, stars: pl.DataFrame, tmp_path: Path) -> None:
    distances = io.read(sky / "mock" / "bailer_jones_edr3.parquet")
    io.write(pl.concat([distances, distances.head(5)]), tmp_path / "distances.parquet")
    join = [(tmp_path / "distances.parquet", "bailer_jones_edr3")]
    with pytest.raises(InputError, match=r"distances.parquet: column 'source_id': 5 rows repeat"):
        ss.clean(tmp_path / "gaia.parquet", survey="gaia_dr3", join=join, output=tmp_path / "clean.parquet")
    assert other_rows_kept(tmp_path, "gaia.parquet", "distances.parquet")


def test_input_and_output_must_differ(sky: Path) -> None:
    gaia = sky / "mock" / "gaia_dr3.parquet"
    with pytest.raises(InputError, match="is the input and the output"):
        ss.clean(gaia, survey="gaia_dr3", output=gaia)


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "ecsv"])
def test_values_that_were_converted_are_not_converted_again(tmp_path: Path, suffix: str) -> None:
    of = {"name": "mine", "title": "t", "kind": "spectroscopic", "id": {"column": "id"}}
    of |= {"columns": {"id": {"dtype": "int64"}, "t": {}}, "labels": {"teff": {"value": "t"}}}
    survey = ss.Survey.model_validate(of)
    stated = {"t": Column("t", "float64", "kK", "", "")}
    io.write(pl.DataFrame({"id": [1, 2], "t": [5.0, 6.1]}), tmp_path / "raw.fits", columns=stated)
    first = tmp_path / f"first.{suffix}"
    ss.clean(tmp_path / "raw.fits", survey=survey, output=first)
    for table in (tmp_path / "raw.fits", first):
        cleaned = ss.clean(table, survey=survey).table
        assert cleaned is not None
        assert cleaned["t"].to_list() == [5000.0, 6100.0]


def test_columns_are_read_without_the_identifier(tmp_path: Path) -> None:
    of = {"name": "mine", "title": "t", "kind": "photometric", "id": {"column": "id"}}
    of |= {"columns": {"id": {"dtype": "int64"}, "a": {}, "b": {"expression": "a * 2"}}}
    survey = ss.Survey.model_validate(of)
    pl.DataFrame({"id": [1, 2], "a": [1.0, 2.0]}).write_csv(tmp_path / "t.csv")
    assert ss.read(tmp_path / "t.csv", survey=survey, columns=["b"]).to_dict(as_series=False) == {"b": [2.0, 4.0]}
    (frame,) = stream.pieces(tmp_path / "t.csv", survey, ["b"])
    assert frame.to_dict(as_series=False) == {"b": [2.0, 4.0]}
