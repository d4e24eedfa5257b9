"""Columns of a Parquet folder that only the names of its folders hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import starscale as ss


def test_names_of_folders_are_columns(tmp_path: Path) -> None:
    rows = {"id": [1, 2, 3], "band": ["g", "r i", None], "year": [2016, 2016, 2017]}
    pq.write_to_dataset(pa.table(rows), str(tmp_path / "sky"), partition_cols=["band", "year"])
    table = ss.read(tmp_path / "sky").sort("id")
    assert table.to_dict(as_series=False) == rows
    assert ss.read(tmp_path / "sky", columns=["band"]).columns == ["band"]
    pattern = ss.read(str(tmp_path / "sky" / "*" / "*" / "*.parquet")).sort("id")
    assert pattern.equals(table)


def test_numbers_only_where_all_are_and_none_loses_zeros(tmp_path: Path) -> None:
    for name, value in (("007", 1), ("8", 2)):
        (tmp_path / f"field={name}").mkdir()
        pq.write_table(pa.table({"id": [value]}), tmp_path / f"field={name}" / "a.parquet")
    assert ss.read(tmp_path)["field"].to_list() == ["007", "8"]


def test_a_column_of_the_file_comes_first_and_cells_of_the_sky_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "Norder=0" / "Dir=0" / "band=x"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1], "band": ["g"]}), folder / "a.parquet")
    assert ss.read(tmp_path).to_dicts() == [{"id": 1, "band": "g"}]
