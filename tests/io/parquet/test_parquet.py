"""Parquet: directories, HATS catalogues, batches."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from starscale import io
from starscale.io.table import rebatch, unique_names
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError


def part(start: int, rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"id": range(start, start + rows), "x": [float(i) for i in range(rows)]})


def hats(folder: Path) -> Path:
    """A HATS catalogue of three cells, the last of which is a folder of files."""
    cells = {
        "Norder=1/Dir=0/Npix=3.parquet": 10,
        "Norder=0/Dir=0/Npix=4.parquet": 20,
        "Norder=2/Dir=0/Npix=7/a.parquet": 0,
    }
    for name, start in cells.items():
        table = part(start).with_columns(_healpix_29=pl.lit(start, dtype=pl.Int64))
        io.write(
            table,
            folder / "dataset" / name,
            columns={"x": Column("x", "float64", "mag", "phot.mag", "brightness")},
        )
    io.write(part(0), folder / "dataset" / "_metadata.parquet")
    (folder / "hats.properties").write_text("#HATS catalog\nobs_collection=mock\nhats_nrows = 9\n")
    return folder


def test_only_columns_that_repeat_have_dictionaries(tmp_path: Path) -> None:
    table = part(0, 100).with_columns(name=pl.lit("a"), flag=pl.lit(1, pl.Int32), parts=pl.lit([1.5, 2.5]))
    assert table.schema["id"] == pl.Int64
    io.write(table, tmp_path / "a.parquet")
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    of = {
        group.column(i).path_in_schema.split(".")[0]: group.column(i).encodings for i in range(group.num_columns)
    }
    assert {name for name, encodings in of.items() if "RLE_DICTIONARY" in encodings} == {"name", "flag"}
    assert io.read(tmp_path / "a.parquet").equals(table)


def test_a_directory_is_one_table(tmp_path: Path) -> None:
    io.write(part(3), tmp_path / "b.parquet")
    io.write(part(0), tmp_path / "a.parquet")
    io.write(part(6), tmp_path / "deeper" / "c.parquet")
    (tmp_path / "README").write_text("hello")
    source = io.open_table(tmp_path)
    assert source.n_rows == 9
    assert source.read(["id"])["id"].to_list() == list(range(9))
    assert source.lazy().filter(pl.col("id") > 6).collect()["id"].to_list() == [7, 8]
    assert [batch.height for batch in source.batches(4)] == [4, 4, 1]


def test_a_hats_catalogue(tmp_path: Path) -> None:
    source = io.open_table(hats(tmp_path))
    table = source.read()
    assert table.columns == ["id", "x", "_healpix_29"]
    # In the order of the cells on the sky: cell 7 of order 2 lies in cell 0 of order 0, and so on.
    assert table["id"].to_list() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert source.lazy().collect().equals(table)
    assert source.columns["x"] == Column("x", "float64", "mag", "phot.mag", "brightness")
    assert source.metadata["obs_collection"] == "mock"
    assert source.metadata["hats_nrows"] == "9"


def test_a_hats_collection_leads_to_its_main_table(tmp_path: Path) -> None:
    hats(tmp_path / "main")
    hats(tmp_path / "main_5arcs")
    (tmp_path / "collection.properties").write_text("obs_collection=x\nhats_primary_table_url=main\n")
    assert io.open_table(tmp_path).n_rows == 9
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=elsewhere\n")
    with pytest.raises(InputError, match="elsewhere: no such folder"):
        io.open_table(tmp_path)
    (tmp_path / "collection.properties").write_text("obs_collection=x\n")
    with pytest.raises(InputError, match="hats_primary_table_url"):
        io.open_table(tmp_path)


def test_a_hats_catalogue_without_data(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "properties").write_text("obs_collection=x\n")
    with pytest.raises(InputError, match="without data files"):
        io.open_table(tmp_path)


def test_directories_without_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an empty directory"):
        io.read(tmp_path)
    (tmp_path / "stars.dvi").write_bytes(b"")
    with pytest.raises(InputError, match=r"without tables.*It holds stars\.dvi"):
        io.read(tmp_path)


def test_files_with_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    io.write(part(0), tmp_path / "a.parquet")
    io.write(part(0).with_columns(y=1).drop("x"), tmp_path / "b.parquet")
    io.write(part(0).with_columns(pl.col("id").cast(pl.Float64)), tmp_path / "c.parquet")
    with pytest.raises(InputError) as error:
        io.open_table(tmp_path)
    text = str(error.value)
    assert "2 problems" in text
    assert "lacks x; adds y" in text
    assert "id is Float64, not Int64" in text


def test_a_directory_with_a_damaged_file(tmp_path: Path) -> None:
    io.write(part(0), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("<html><body>502</body></html>")
    with pytest.raises(InputError, match=r"b\.parquet: is an HTML page"):
        io.open_table(tmp_path)


def test_large_row_groups_are_cut_into_batches(tmp_path: Path) -> None:
    table = part(0, 300_000)
    io.write(table, tmp_path / "t.parquet")
    assert pl.concat(io.open_table(tmp_path / "t.parquet").batches(70_000)).equals(table)


def test_rebatch_keeps_every_row_in_order() -> None:
    pieces = [part(0, 5), part(5, 0), part(5, 1), part(6, 11)]
    batches = list(rebatch(pieces, 4))
    assert [batch.height for batch in batches] == [4, 4, 4, 4, 1]
    assert pl.concat(batches)["id"].to_list() == list(range(17))
    assert list(rebatch([], 4)) == []


def test_a_batch_has_rows(tmp_path: Path) -> None:
    io.write(part(0), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="at least 1"):
        io.open_table(tmp_path / "t.parquet").batches(0)


def test_unique_names() -> None:
    assert unique_names(["a", "a", "a_2", " ", "a"]) == ["a", "a_3", "a_2", "column_4", "a_4"]


def test_a_file_with_two_columns_of_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="several columns called a"):
        io.open_table(tmp_path / "t.parquet")


def test_a_damaged_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    io.write(pl.DataFrame({"x": range(10_000)}).sample(fraction=1, shuffle=True, seed=1), file)
    whole = bytearray(file.read_bytes())
    # The last bytes of the first page, far from its header: zstd does not notice every change.
    chunk = pq.read_metadata(file).row_group(0).column(0)
    place = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 5
    found = 0
    for bit in range(8):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        source = io.open_table(file)
        for read in (source.read, lambda source=source: list(source.batches(100))):
            with pytest.raises(InputError, match="damaged Parquet file") as error:
                read()
            found += "checksum" in str(error.value)
    assert found == 16


def test_nan_is_missing(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [1.0, float("nan"), None, float("inf")], "y": [float("nan")] * 4})
    table.write_parquet(tmp_path / "t.parquet")
    source = io.open_table(tmp_path / "t.parquet")
    for found in (source.read(), pl.concat(source.batches(2)), source.lazy().collect(), io.read(table)):
        assert found.to_dict(as_series=False) == {"x": [1.0, None, None, float("inf")], "y": [None] * 4}
    assert source.rows_with("x", pl.Series([1.0]))["y"].to_list() == [None]


def test_a_footer_with_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    catalogue = hats(tmp_path / "cat")
    for name, text in (
        ("hats.properties", "obs_collection=mock\nhats_nrows = 10\n"),
        ("partition_info.csv", "Norder,Npix,num_rows\n1,3,3\n0,4,2\n2,7,3\n"),
    ):
        (catalogue / name).write_text(text)
    with pytest.raises(InputError) as error:
        io.open_table(catalogue)
    assert "partition_info.csv: holds 3 rows; expected 2" in str(error.value)
    assert "hats.properties: holds 9 rows; expected 10" in str(error.value)


@pytest.mark.parametrize("suffix", [".parq", ".snappy.parquet", "/"])
@pytest.mark.parametrize(
    "tree", ["dataset/Norder={}/Dir=0/Npix={}", "dataset/Norder={}/Npix={}", "Norder={}/Npix={}"]
)
def test_a_hats_catalogue_with_other_names_of_files(tmp_path: Path, suffix: str, tree: str) -> None:
    for (order, pixel), start in {(1, 3): 10, (0, 4): 20, (2, 7): 0}.items():
        folder = tmp_path / tree.format(order, pixel)
        files = (
            {folder / "0.parquet": 0, folder / "1.parquet": 3} if suffix == "/" else {Path(f"{folder}{suffix}"): 0}
        )
        for file, first in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            part(start + first).write_parquet(file)
    rows = 18 if suffix == "/" else 9
    (tmp_path / "hats.properties").write_text(f"hats_npix_suffix={suffix}\nhats_nrows={rows}\n")
    (tmp_path / "partition_info.csv").write_text("Norder,Npix\n1,3\n0,4\n2,7\n")
    found = io.read(tmp_path)["id"]
    assert found.to_list()[:3] == [0, 1, 2]
    assert len(found) == rows
    assert found.is_sorted()
