"""What is written is read back, by us and by astropy, from every format."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale import io
from starscale.vocabulary.columns import Column, catalogue_columns
from starscale.vocabulary.errors import InputError

BIG = 2**63 - 1
SUFFIXES = (".parquet", ".fits", ".fits.gz", ".vot", ".xml", ".ecsv", ".csv", ".tsv")
DESCRIBED = (".parquet", ".fits", ".fits.gz", ".vot", ".ecsv")

TABLE = pl.DataFrame(
    {
        "source_id": [BIG, -BIG, None, 6917528997577384321],
        "ra": [0.1, None, 359.99999999999994, -0.0],
        "teff": pl.Series([5777.1, None, 3500.0, float("inf")], dtype=pl.Float32),
        "name": ["HD 1", None, "ω Cen ☃ 𝛼", 'with "quotes", commas'],
        "is_star": [True, None, False, True],
        "flags": pl.Series([0, -(2**31) + 1, None, 2**31 - 1], dtype=pl.Int32),
    }
)
COLUMNS = {
    "source_id": Column("source_id", "int64", "", "meta.id;meta.main", "identifier"),
    "ra": Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "right ascension — at the epoch, α"),
    "teff": Column("teff", "float32", "K", "phys.temperature.effective", "long text; " * 30 + "end"),
    "elsewhere": Column("elsewhere", "float64", "mag"),
}
METADATA = {
    "starscale.provenance": json.dumps(
        {"seed": 1, "cuts": ["ruwe <= 1.4"] * 40, "name": "ω\n"}, ensure_ascii=False
    ),
    "title": "it's a 'test' & \\u00e9 \t more\nlines",
}


def read_as(frame: pl.DataFrame, suffix: str) -> pl.DataFrame:
    """What a frame must look like after a trip through a format without float32 or int32."""
    if suffix in (".csv", ".tsv"):
        return frame.with_columns(pl.col(pl.Float32).cast(pl.Float64), pl.col(pl.Int32).cast(pl.Int64))
    return frame


@pytest.fixture(params=SUFFIXES)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"table{request.param}"
    io.write(TABLE, path, columns=COLUMNS, metadata=METADATA)
    return path


def suffix_of(path: Path) -> str:
    return path.name.removeprefix("table")


def test_values_and_nulls_survive(written: Path) -> None:
    back = io.read(written)
    expected = read_as(TABLE, suffix_of(written))
    if suffix_of(written) in (".csv", ".tsv"):
        # The shortest decimal form of a float32 is not that of the same number as float64.
        back, expected = (frame.with_columns(pl.col("teff").cast(pl.Float32)) for frame in (back, expected))
    assert_frame_equal(back, expected, check_exact=True)


def test_the_source_tells_rows_columns_and_lazy_rows(written: Path) -> None:
    source = io.open_table(written)
    assert source.n_rows == TABLE.height
    assert list(source.schema) == TABLE.columns
    assert source.path == written
    assert_frame_equal(source.lazy().collect(), source.read())
    assert_frame_equal(
        source.lazy().filter(pl.col("ra") > 1).select("source_id", "name").collect(),
        source.read().filter(pl.col("ra") > 1).select("source_id", "name"),
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 100])
def test_batches_are_the_table_cut(written: Path, rows: int) -> None:
    source = io.open_table(written)
    batches = list(source.batches(rows, ["name", "source_id"]))
    assert [batch.height for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    assert_frame_equal(pl.concat(batches), io.read(written, columns=["name", "source_id"]))


@pytest.mark.parametrize("suffix", DESCRIBED)
def test_descriptions_and_metadata_survive(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    io.write(TABLE, path, columns=COLUMNS, metadata=METADATA)
    source = io.open_table(path)
    for name in ("source_id", "ra", "teff"):
        got, wanted = source.columns[name], COLUMNS[name]
        # XML readers fold line breaks inside a long description into blanks.
        assert " ".join(got.description.split()) == " ".join(wanted.description.split())
        assert (got.unit, got.ucd, got.dtype) == (wanted.unit, wanted.ucd, wanted.dtype)
    assert source.columns["name"] == Column("name", "string")
    assert {key: source.metadata[key] for key in METADATA} == METADATA
    assert "elsewhere" not in source.columns


@pytest.mark.parametrize("suffix", DESCRIBED)
def test_units_of_the_catalogue_survive(tmp_path: Path, suffix: str) -> None:
    columns = catalogue_columns()
    table = pl.DataFrame({name: pl.Series([1], dtype=pl.Float64) for name in columns})
    io.write(table, tmp_path / f"c{suffix}", columns=columns)
    back = io.open_table(tmp_path / f"c{suffix}").columns
    assert {name: item.unit for name, item in back.items()} == {name: item.unit for name, item in columns.items()}
    assert {name: item.ucd for name, item in back.items()} == {name: item.ucd for name, item in columns.items()}


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".fits", "fits"), (".fits.gz", "fits"), (".vot", "votable"), (".ecsv", "ascii.ecsv")]
)
def test_astropy_reads_it(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"table{suffix}"
    io.write(TABLE, path, columns=COLUMNS, metadata=METADATA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        table = Table.read(path, format=kind)
    assert table.colnames == TABLE.columns
    assert table["source_id"][0] == BIG
    assert table["source_id"][1] == -BIG
    assert np.ma.getmaskarray(np.ma.asarray(table["source_id"])).tolist() == [False, False, True, False]
    assert str(table["ra"].unit) == "deg"
    assert table["ra"][2] == TABLE["ra"][2]
    assert np.ma.is_masked(table["ra"][1]) or np.isnan(table["ra"][1])
    assert str(table["name"][2]) == TABLE["name"][2]
    assert bool(table["is_star"][0]) is True
    if kind != "fits":
        assert table["ra"].description.startswith("right ascension")
        assert table["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"


def test_astropy_reads_the_votable_inside_parquet(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = TABLE.drop_nulls()
    io.write(table, path, columns=COLUMNS, metadata=METADATA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        back = Table.read(path, format="parquet.votable")
    assert str(back["teff"].unit) == "K"
    assert back["ra"].description == COLUMNS["ra"].description
    assert back["source_id"].info.meta["ucd"] == "meta.id;meta.main"
    assert back["source_id"].tolist() == table["source_id"].to_list()


def test_parquet_that_astropy_wrote_tells_its_units(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    metadata = {"ra": {"unit": "deg", "ucd": "pos.eq.ra", "description": "right ascension"}}
    Table({"ra": [1.0, 2.0]}).write(path, format="parquet.votable", metadata=metadata)
    assert io.open_table(path).columns["ra"] == Column("ra", "float64", "deg", "pos.eq.ra", "right ascension")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    io.write(TABLE.clear(), path)
    source = io.open_table(path)
    assert (source.n_rows, source.read().shape) == (0, (0, TABLE.width))
    assert list(source.batches(10)) == []
    if suffix not in (".csv", ".tsv"):
        assert source.schema == TABLE.schema


@pytest.mark.parametrize("suffix", [".parquet", ".fits"])
def test_a_table_without_columns(tmp_path: Path, suffix: str) -> None:
    io.write(pl.DataFrame(), tmp_path / f"none{suffix}")
    assert io.read(tmp_path / f"none{suffix}").shape == (0, 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_written_piece_by_piece_make_the_same_table(tmp_path: Path, suffix: str) -> None:
    table = pl.concat([TABLE] * 25)
    io.write(table, tmp_path / f"whole{suffix}", columns=COLUMNS, metadata={"late": "yes"})
    with io.open_writer(tmp_path / f"pieces{suffix}", table.schema, columns=COLUMNS, n_rows=100) as writer:
        for piece in table.iter_slices(7):
            writer.append(piece)
        writer.append(table.clear())
        writer.metadata["late"] = "yes"
    whole, pieces = (io.open_table(tmp_path / f"{name}{suffix}") for name in ("whole", "pieces"))
    assert_frame_equal(pieces.read(), whole.read())
    assert pieces.columns == whole.columns
    assert pieces.metadata == whole.metadata


def test_what_only_parquet_can_hold_is_refused_by_the_others_with_every_column(tmp_path: Path) -> None:
    table = pl.DataFrame({"l": [[1], [1, 2]], "s": [{"a": 1}, {"a": 2}]})
    io.write(table, tmp_path / "t.parquet")
    assert_frame_equal(io.read(tmp_path / "t.parquet"), table)
    for suffix in (".fits", ".vot", ".ecsv", ".csv"):
        with pytest.raises(InputError, match="2 problems") as error:
            io.write(table, tmp_path / f"t{suffix}")
        assert "Parquet" in str(error.value)
        assert not (tmp_path / f"t{suffix}").exists()


def test_vectors_of_texts_and_numbers_survive_fits(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "v": pl.Series([[1.0, None], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
            "m": pl.Series(
                [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, None]]], dtype=pl.Array(pl.Int64, (2, 3))
            ),
            "t": pl.Series([["a", "bcd"], ["é", None]], dtype=pl.Array(pl.String, 2)),
        }
    )
    io.write(table, tmp_path / "t.fits")
    assert_frame_equal(io.read(tmp_path / "t.fits"), table)
    with pytest.raises(InputError, match="vector"):
        io.write(table, tmp_path / "t.csv")
    with pytest.raises(InputError, match="2 problems"):
        io.write(table, tmp_path / "t.vot")
    numbers = table.select("v", w=pl.Series([[1, None], [-5, 2**62]], dtype=pl.Array(pl.Int64, 2)))
    io.write(numbers, tmp_path / "t.vot")
    assert_frame_equal(io.read(tmp_path / "t.vot"), numbers)


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".csv"])
@pytest.mark.parametrize("text", ["\0", "a\0b", "a\0"])
def test_zero_bytes_are_refused_where_they_would_end_a_text(tmp_path: Path, suffix: str, text: str) -> None:
    table = pl.DataFrame({"t": [text, "b"], "u": [None, text]})
    with pytest.raises(InputError, match="2 problems") as error:
        io.write(table, tmp_path / f"t{suffix}")
    assert "column 'u': holds texts with NUL characters" in str(error.value)
    assert not list(tmp_path.iterdir())
    io.write(table, tmp_path / "t.parquet")
    assert_frame_equal(io.read(tmp_path / "t.parquet"), table)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".ecsv"])
@pytest.mark.parametrize("text", ["\ufeff", "\ufeffa", '\ufeff"a"\n', "\ufeff,"])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_text_may_begin_with_a_byte_order_mark(tmp_path: Path, suffix: str, text: str, rows: int) -> None:
    table = pl.DataFrame({"t": [text] * rows, "u": [text, "NaN", "b"][:rows], "i": list(range(rows))})
    io.write(table, tmp_path / f"t{suffix}")
    assert_frame_equal(io.read(tmp_path / f"t{suffix}"), table)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv"])
def test_nan_is_missing_in_vectors_too(tmp_path: Path, suffix: str) -> None:
    vectors = pl.Series([[1.0, np.nan], [np.nan, np.nan], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2))
    table = pl.DataFrame({"v": vectors, "i": [1, 2, 3]})
    io.write(table, tmp_path / f"t{suffix}")
    expected = [[1.0, None], [None, None], [3.0, 4.0]]
    assert io.read(tmp_path / f"t{suffix}")["v"].to_list() == io.read(table)["v"].to_list() == expected


def test_nan_is_missing_in_lists_and_matrices(tmp_path: Path) -> None:
    matrices = pl.Series([[[1.0], [np.nan]], None], dtype=pl.Array(pl.Float64, (2, 1)))
    lists = [[[1.0, np.nan], None], None]
    table = pl.DataFrame({"l": [[1.0, np.nan], None], "e": [[], [np.nan]], "m": matrices, "n": lists})
    io.write(table, tmp_path / "t.parquet")
    expected = {"l": [[1.0, None], None], "e": [[], [None]], "m": [[[1.0], [None]], None]}
    expected["n"] = [[[1.0, None], None], None]
    assert io.read(tmp_path / "t.parquet").to_dict(as_series=False) == expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("name", ["a", "n|m", "f;g", "x,y", "G mag", "a\tb"])
@pytest.mark.parametrize("texts", [["a, b", "c"], ["a;b|c", "d"], ["e\tf", "g h"]])
def test_one_column_whose_name_or_texts_hold_separators(
    tmp_path: Path, suffix: str, name: str, texts: list[str]
) -> None:
    table = pl.DataFrame({name: texts})
    io.write(table, tmp_path / f"t{suffix}")
    assert_frame_equal(io.read(tmp_path / f"t{suffix}"), table)


def test_dates_and_categories_are_written_as_text(tmp_path: Path) -> None:
    table = pl.DataFrame({"when": ["2016-01-01T00:00:00"], "kind": ["dwarf"]}).with_columns(
        pl.col("when").str.to_datetime(), pl.col("kind").cast(pl.Categorical)
    )
    for suffix in (".fits", ".vot", ".ecsv", ".csv"):
        io.write(table, tmp_path / f"t{suffix}")
        back = io.read(tmp_path / f"t{suffix}")
        assert back["when"][0].startswith("2016-01-01T00:00:00")
        assert back["kind"].to_list() == ["dwarf"]


def test_integers_that_use_the_whole_range_find_another_number_for_null(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "small": pl.Series([0, 255, None], dtype=pl.UInt8),
            "low": pl.Series([-(2**63), None, 5], dtype=pl.Int64),
            "unsigned": pl.Series([2**64 - 1, None, 1], dtype=pl.UInt64),
        }
    )
    io.write(table, tmp_path / "t.fits")
    back = io.read(tmp_path / "t.fits")
    assert back.to_dict(as_series=False) == table.to_dict(as_series=False)
    full = pl.DataFrame({"id": pl.Series([-(2**63), 2**63 - 1, None])})
    with pytest.raises(InputError, match="left to mark nulls in column 'id'"):
        io.write(full, tmp_path / "full.fits")
    assert not (tmp_path / "full.fits").exists()


def test_votable_refuses_numbers_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unsigned"):
        io.write(pl.DataFrame({"id": pl.Series([2**64 - 1], dtype=pl.UInt64)}), tmp_path / "t.vot")


# Characters that XML or FITS cannot hold are another matter than the format's handling of text.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=8
).filter(lambda text: text == text.strip())
rows = st.lists(
    st.tuples(
        st.none() | st.integers(-BIG, BIG),
        st.none() | st.floats(allow_nan=False),
        st.none() | texts,
        st.none() | st.booleans(),
    ),
    max_size=12,
)


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows)
def test_any_table_survives(tmp_path: Path, suffix: str, rows: list[tuple[object, ...]]) -> None:
    schema = {"i": pl.Int64, "f": pl.Float64, "s": pl.String, "b": pl.Boolean}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    io.write(table, tmp_path / f"t{suffix}")
    assert_frame_equal(io.read(tmp_path / f"t{suffix}"), table, check_exact=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-BIG, BIG),
            st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
        )
    ),
    chunk=st.integers(1, 5),
)
def test_any_text_survives_csv_in_pieces_of_any_size(
    tmp_path: Path, rows: list[tuple[object, ...]], chunk: int
) -> None:
    # A letter in front keeps the column from being taken for numbers.
    table = pl.DataFrame(rows, schema={"i": pl.Int64, "s": pl.String}, orient="row").with_columns(
        pl.concat_str(pl.lit("x"), "s").alias("s")
    )
    io.write(table, tmp_path / "t.csv")
    source = io.open_table(tmp_path / "t.csv")
    back = source.read()
    assert back["i"].to_list() == table["i"].to_list()
    assert back["s"].to_list() == table["s"].to_list()
    assert source.n_rows == table.height
    assert pl.concat([back.clear(), *source.batches(chunk)]).equals(back)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
        st.text(st.characters(codec="utf-8"), max_size=120),
        max_size=3,
    )
)
@example({"a long key " * 7 + "&": "", "k": "a long value " * 7 + "& &"})
def test_any_metadata_survives_fits(tmp_path: Path, metadata: dict[str, str]) -> None:
    io.write(TABLE, tmp_path / "t.fits", metadata=metadata)
    back = io.open_table(tmp_path / "t.fits").metadata
    assert {key: back.get(key) for key in metadata} == metadata


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv", ".tsv"])
def test_names_that_polars_takes_for_patterns(suffix: str, tmp_path: Path) -> None:
    table = pl.DataFrame({"id": [1, 2], "*": [1.5, None], "^.*$": ["a", None], "^i": [3, 4]})
    io.write(table, tmp_path / f"t{suffix}")
    assert_frame_equal(io.read(tmp_path / f"t{suffix}"), table)
    assert_frame_equal(io.read(tmp_path / f"t{suffix}", columns=["^.*$", "*"]), table[["^.*$", "*"]])
