"""HATS catalogues that are written: every row once, no partition too full, the same bytes however rows come."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.hats import runs as hats_runs
from starscale.io.hats import sink as hats_sink
from starscale.io.hats.catalogue import properties_text, read_properties
from starscale.vocabulary.columns import DEC, RA, SOURCE_ID, Column
from starscale.vocabulary.errors import InputError

LIMIT = 300
COLUMNS = {column.name: column for column in (SOURCE_ID, RA, DEC, Column("teff", "float32", "K", "", "warmth"))}
METADATA = {"starscale.provenance": json.dumps({"mock": True, "text": "a: b\\c = ω\n"}), "odd = key ": " x # "}


def stars(n: int = 3000, *, clustered: int = 1200, unplaced: int = 4, seed: int = 1) -> pl.DataFrame:
    """MOCK: a uniform sky with a cluster of one arcminute, and some rows without a position."""
    rng = np.random.default_rng(seed)
    few = n - clustered
    ra = np.r_[rng.uniform(0, 360, few), rng.normal(130.0, 0.02, clustered)]
    dec = np.r_[np.degrees(np.arcsin(rng.uniform(-1, 1, few))), rng.normal(10.0, 0.02, clustered)]
    order = rng.permutation(n)
    ra[order[:unplaced]] = [np.nan, 10.0, np.inf, 10.0][:unplaced]
    dec[order[:unplaced]] = [0.0, 91.0, 0.0, np.nan][:unplaced]
    return pl.DataFrame(
        {
            "source_id": np.arange(n),
            "ra": ra,
            "dec": dec,
            "teff": pl.Series(rng.normal(5000, 500, n), dtype=pl.Float32),
            "name": [f"star {i}" if i % 3 else None for i in range(n)],
        }
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions and runs so small that a test table makes many of them."""
    monkeypatch.setattr(hats_sink, "PARTITION_ROWS", LIMIT)
    monkeypatch.setattr(hats_runs, "RUN_BYTES", 20_000)


def sums(folder: Path) -> dict[str, str]:
    return {f.relative_to(folder).as_posix(): io.checksum(f) for f in sorted(folder.rglob("*")) if f.is_file()}


def partitions(folder: Path) -> list[Path]:
    return sorted((folder / "dataset").rglob("Npix=*.parquet"))


def test_every_row_is_there_once_with_its_descriptions(tmp_path: Path) -> None:
    table = stars()
    io.write(table, tmp_path / "sky.hats", columns=COLUMNS, metadata=METADATA)
    source = io.open_table(tmp_path / "sky.hats")
    assert source.n_rows == table.height
    assert_frame_equal(source.read(table.columns).sort("source_id"), table.with_columns(cs.float().fill_nan(None)))
    assert {name: source.columns[name] for name in COLUMNS} == COLUMNS
    assert {key: source.metadata[key] for key in METADATA} == METADATA
    assert list(tmp_path.iterdir()) == [tmp_path / "sky.hats"]


def test_partitions_are_cells_of_the_sky_with_few_enough_rows_in_order(tmp_path: Path) -> None:
    io.write(stars(), tmp_path / "sky.hats", columns=COLUMNS)
    files = partitions(tmp_path / "sky.hats")
    assert len(files) > 12
    orders = set()
    for file in files:
        order, pixel = (int(part.partition("=")[2].removesuffix(".parquet")) for part in file.parts[-3::2])
        rows = pl.read_parquet(file, hive_partitioning=False)
        orders.add(order)
        assert 0 < rows.height <= LIMIT
        assert rows["_healpix_29"].is_sorted()
        angles = Longitude(rows["ra"].to_numpy(), u.deg), Latitude(rows["dec"].to_numpy(), u.deg)
        found = nested.lonlat_to_healpix(*angles, 29)
        assert (found.astype(np.int64) == rows["_healpix_29"].to_numpy()).all()
        assert set((rows["_healpix_29"].to_numpy() >> 2 * (29 - order)).tolist()) == {pixel}
        assert file.parts[-2] == f"Dir={pixel // 10000 * 10000}"
        assert pq.read_schema(file).field("teff").metadata[b"unit"] == b"K"
    assert min(orders) <= 1
    # The cluster is much smaller than a cell of the order that rows are counted in.
    assert max(orders) > hats_sink.COUNTED
    listed = pl.read_csv(tmp_path / "sky.hats" / "partition_info.csv")
    assert listed["num_rows"].sum() == 2996
    assert listed.height == len(files)


def test_a_sibling_is_only_divided_when_it_must_be(tmp_path: Path) -> None:
    io.write(stars(clustered=0), tmp_path / "sky.hats", columns=COLUMNS)
    cells = {(o, p): n for o, p, n in pl.read_csv(tmp_path / "sky.hats" / "partition_info.csv").iter_rows()}
    for order, pixel in cells:
        brothers = [cells.get((order, pixel // 4 * 4 + i), 0) for i in range(4)]
        nephews = [n for (o, p), n in cells.items() if o > order and p >> 2 * (o - order + 1) == pixel // 4]
        assert order == 0 or sum(brothers) + sum(nephews) > LIMIT


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_pieces_that_rows_come_in_leave_no_trace(tmp_path: Path, rows: int) -> None:
    table = stars(1500, clustered=600)
    # Rows of one place keep the order in which they came.
    table = pl.concat([table, table.head(200)])
    io.write(table, tmp_path / "whole" / "sky.hats", columns=COLUMNS, metadata=METADATA)
    with io.open_writer(tmp_path / "pieces" / "sky.hats", table.schema, columns=COLUMNS) as writer:
        for piece in table.iter_slices(rows):
            writer.append(piece)
        writer.metadata.update(METADATA)
    assert sums(tmp_path / "pieces" / "sky.hats") == sums(tmp_path / "whole" / "sky.hats")


def test_rows_of_one_place_stay_together_however_many(tmp_path: Path) -> None:
    table = pl.DataFrame({"source_id": range(1000), "ra": [10.0] * 1000, "dec": [-5.0] * 1000})
    io.write(table, tmp_path / "one.hats")
    (file,) = partitions(tmp_path / "one.hats")
    assert "Norder=29" in file.as_posix()
    assert io.read(tmp_path / "one.hats")["source_id"].to_list() == list(range(1000))


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row(tmp_path: Path, n: int) -> None:
    table = stars(5, clustered=0, unplaced=0).head(n)
    io.write(table, tmp_path / "few.hats", columns=COLUMNS)
    source = io.open_table(tmp_path / "few.hats")
    assert source.n_rows == n
    assert_frame_equal(source.read(table.columns), table)
    assert source.columns["ra"].unit == "deg"


def test_a_table_of_rows_without_positions_is_kept(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"source_id": [1, 2], "ra": [None, 1.0], "dec": [1.0, None]}, schema_overrides={"ra": float}
    )
    io.write(table, tmp_path / "lost.hats")
    source = io.open_table(tmp_path / "lost.hats")
    assert_frame_equal(source.read(table.columns), table)
    assert source.metadata["starscale.unplaced_rows"] == "2"
    assert source.metadata["hats_nrows"] == "0"


def test_a_catalogue_that_was_read_can_be_written_again(tmp_path: Path) -> None:
    io.write(stars(), tmp_path / "a" / "sky.hats", columns=COLUMNS, metadata=METADATA)
    source = io.open_table(tmp_path / "a" / "sky.hats")
    io.write(source.read(), tmp_path / "b" / "sky.hats", columns=source.columns, metadata=source.metadata)
    first, second = sums(tmp_path / "a" / "sky.hats"), sums(tmp_path / "b" / "sky.hats")
    assert set(first) == set(second)
    again = io.open_table(tmp_path / "b" / "sky.hats")
    assert_frame_equal(again.read(), source.read())
    assert again.metadata == source.metadata


def test_pyarrow_reads_it_through_the_metadata(tmp_path: Path) -> None:
    table = stars(unplaced=0)
    io.write(table, tmp_path / "sky.hats", columns=COLUMNS)
    dataset = ds.parquet_dataset(str(tmp_path / "sky.hats" / "dataset" / "_metadata"))
    assert dataset.count_rows() == table.height
    assert pq.read_schema(tmp_path / "sky.hats" / "dataset" / "_common_metadata").names[0] == "_healpix_29"
    assert dataset.to_table(columns=["source_id"]).column(0).to_numpy().sum() == table["source_id"].sum()


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"raj2000": "pos.eq.ra;meta.main", "dej2000": "pos.eq.dec;meta.main"}, ("raj2000", "dej2000")),
        ({"ra": "", "dec": ""}, ("ra", "dec")),
        ({"a": "pos.eq.ra", "d": "pos.eq.dec"}, ("a", "d")),
        ({"ra": "", "dec": "", "x": "pos.eq.ra;meta.main", "y": "pos.eq.dec;meta.main"}, ("x", "y")),
    ],
)
def test_positions_are_found_by_ucd_and_name(
    tmp_path: Path, columns: dict[str, str], found: tuple[str, str]
) -> None:
    table = pl.DataFrame({name: [1.0 + i] for i, name in enumerate(columns)})
    known = {name: Column(name, "float64", "deg", ucd) for name, ucd in columns.items()}
    io.write(table, tmp_path / "t.hats", columns=known)
    properties = read_properties(tmp_path / "t.hats" / "hats.properties")
    assert (properties["hats_col_ra"], properties["hats_col_dec"]) == found


def test_a_table_without_positions_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no positions.*ra and dec"):
        io.write(pl.DataFrame({"id": [1], "ra": [1.0]}), tmp_path / "t.hats")
    radians = {"ra": Column("ra", "float64", "rad"), "dec": Column("dec", "float64", "rad")}
    with pytest.raises(InputError, match="has no positions"):
        io.write(pl.DataFrame({"ra": [1.0], "dec": [1.0]}), tmp_path / "t.hats", columns=radians)
    assert list(tmp_path.iterdir()) == []


def write_all_but_one(table: pl.DataFrame, path: Path) -> None:
    with io.open_writer(path, table.schema, columns=COLUMNS, n_rows=table.height + 1) as writer:
        writer.append(table)


def test_a_failure_leaves_the_older_catalogue(tmp_path: Path) -> None:
    table = stars(500, clustered=100)
    io.write(table, tmp_path / "sky.hats", columns=COLUMNS)
    before = sums(tmp_path / "sky.hats")
    with pytest.raises(ValueError, match="501 rows were announced"):
        write_all_but_one(table, tmp_path / "sky.hats")
    assert sums(tmp_path / "sky.hats") == before
    assert list(tmp_path.iterdir()) == [tmp_path / "sky.hats"]
    io.write(table.head(10), tmp_path / "sky.hats", columns=COLUMNS)
    assert io.open_table(tmp_path / "sky.hats").n_rows == 10


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "sky.hats").mkdir()
    (tmp_path / "sky.hats" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"holds other things \(thesis\.tex\)"):
        io.write(stars(10, clustered=0), tmp_path / "sky.hats")
    assert (tmp_path / "sky.hats" / "thesis.tex").read_text() == "x"


def test_a_missing_and_an_extra_partition_are_named(tmp_path: Path) -> None:
    io.write(stars(), tmp_path / "sky.hats", columns=COLUMNS)
    first, second, *_ = partitions(tmp_path / "sky.hats")
    extra = second.with_name("Npix=9999.parquet")
    extra.write_bytes(second.read_bytes())
    with pytest.raises(InputError) as error:
        io.open_table(tmp_path / "sky.hats")
    assert str(extra) in str(error.value)
    assert "is not in partition_info.csv (1 partition: Norder=" in str(error.value)
    first.unlink()
    with pytest.raises(InputError, match="2 problems") as error:
        io.open_table(tmp_path / "sky.hats")
    assert f"lacks 1 partition: {first.parts[-3]}/{first.stem}" in str(error.value)
    extra.unlink()
    (tmp_path / "sky.hats" / "partition_info.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"partition_info\.csv: cannot be understood"):
        io.open_table(tmp_path / "sky.hats")
    # HATS does without that file as well; hats_nrows then says that rows are missing.
    (tmp_path / "sky.hats" / "partition_info.csv").unlink()
    with pytest.raises(InputError, match=r"hats\.properties: holds .* rows; expected 2,996"):
        io.open_table(tmp_path / "sky.hats")
    for name in ("hats.properties", "properties"):
        file = tmp_path / "sky.hats" / name
        file.write_text(file.read_text().replace("hats_nrows=2996", "hats_nrows="))
    assert io.open_table(tmp_path / "sky.hats").n_rows > 0


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
        st.text(st.characters(codec="utf-8"), max_size=20),
        max_size=4,
    )
)
def test_any_text_survives_properties(tmp_path: Path, pairs: dict[str, str]) -> None:
    file = tmp_path / "properties"
    file.write_text(properties_text(pairs), encoding="ascii")
    assert read_properties(file) == pairs


@pytest.mark.parametrize("names", [("RA", "DEC"), ("Ra", "Dec"), ("ra", "DEC")])
def test_the_case_of_letters_does_not_matter(tmp_path: Path, names: tuple[str, str]) -> None:
    table = pl.DataFrame({names[0]: [10.5, 11.5], names[1]: [20.5, 21.5], "source_id": [1, 2]})
    io.write(table, tmp_path / "o.hats")
    source = io.open_table(tmp_path / "o.hats")
    assert source.read(table.columns).sort("source_id").equals(table)
    assert (source.metadata["hats_col_ra"], source.metadata["hats_col_dec"]) == names


def test_an_exact_name_comes_first(tmp_path: Path) -> None:
    io.write(pl.DataFrame({"RA": [1.0], "ra": [2.0], "dec": [3.0]}), tmp_path / "o.hats")
    assert io.open_table(tmp_path / "o.hats").metadata["hats_col_ra"] == "ra"
