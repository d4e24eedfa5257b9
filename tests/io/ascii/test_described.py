"""MRT, CDS and IPAC tables: units, descriptions and missing values, as the CDS, the AAS and astropy write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.vocabulary.errors import InputError

RULE = "-" * 80
DESCRIPTION = f"""Byte-by-byte Description of file: table.dat
{RULE}
   Bytes Format Units   Label   Explanations
{RULE}
   1-  4  I4    ---     ID      ?=-999 identifier
   6- 11  F6.2  [cm/s2] logg    ? gravity
  13- 16  A4    ---     Name    ? name
  18- 20  A3    ---     Cflg    contamination
{RULE}
"""
ROWS = "   1   4.50 null 000\n-999        abcd 010\n"
IPAC = r"""\fixlen = T
\ a comment
| source_id           | ra     | flg  |
| long                | double | char |
|                     | deg    |      |
| null                | null   | null |
  4295806720            10.5     000   
  34361129088           null     null  
"""  # noqa: W291


def made(tmp_path: Path, content: str | bytes, name: str) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("end", ["", "\n\n"])
@pytest.mark.parametrize("name", ["t.mrt", "t.txt", "t.mrt.gz"])
def test_a_machine_readable_table(tmp_path: Path, name: str, end: str) -> None:
    title = f"Title: Stars\nAuthors: Doe J.\nTable: Stars\n{'=' * 80}\n"
    content = f"{title}{DESCRIPTION}Note (1): a, b\n{RULE}\n{ROWS}{end}"
    packed = gzip.compress(content.encode()) if name.endswith("gz") else content
    source = io.open_table(made(tmp_path, packed, name))
    assert source.format == "mrt"
    assert source.read().to_dict(as_series=False) == {
        "ID": [1, None],
        "logg": [4.5, None],
        "Name": ["null", "abcd"],
        "Cflg": ["000", "010"],
    }
    assert source.columns["logg"].description == "gravity"
    assert "cm" in source.columns["logg"].unit


@pytest.mark.parametrize("name", ["table.dat", "table.dat.gz"])
def test_a_table_of_the_cds_with_its_readme_beside_it(tmp_path: Path, name: str) -> None:
    made(tmp_path, f"J/A+A/1/1  Stars  (Doe, 2020)\n{'=' * 80}\n{DESCRIPTION}", "ReadMe")
    path = made(tmp_path, gzip.compress(ROWS.encode()) if name.endswith("gz") else ROWS, name)
    assert io.read(path)["Cflg"].to_list() == ["000", "010"]
    with pytest.raises(InputError, match=r"without columns|no header line"):
        io.read(made(tmp_path, ROWS, "other.dat"))


def test_what_publish_writes_is_read(tmp_path: Path) -> None:
    stars = pl.DataFrame(
        {"source_id": [2**60, 7], "ra": [10.5, 20.25], "dec": [-5.0, None], "name": ["a b", None]}
    )
    io.write(stars, tmp_path / "stars.parquet")
    ss.publish(tmp_path / "stars.parquet", tmp_path / "stars.mrt", title="Stars", authors=["Doe J."])
    assert io.read(tmp_path / "stars.mrt").equals(stars)
    ss.publish(tmp_path / "stars.parquet", tmp_path / "cds", title="Stars", authors=["Doe J."])
    assert io.read(tmp_path / "cds" / "stars.dat").equals(stars)


def test_an_ipac_table(tmp_path: Path) -> None:
    source = io.open_table(made(tmp_path, IPAC, "t.tbl"))
    assert source.format == "ipac"
    assert source.read().to_dict(as_series=False) == {
        "source_id": [4295806720, 34361129088],
        "ra": [10.5, None],
        "flg": ["000", None],
    }
    assert source.columns["ra"].unit == "deg"


@pytest.mark.parametrize(
    ("content", "name"),
    [(f"{DESCRIPTION}   x   4.50 abcd 000\n", "t.mrt"), (IPAC.replace("10.5", "north"), "t.tbl")],
)
def test_rows_that_are_not_as_described(tmp_path: Path, content: str, name: str) -> None:
    with pytest.raises(InputError, match="does not agree with the description of its columns"):
        io.read(made(tmp_path, content, name))


@pytest.mark.parametrize("name", ["t.mrt", "t.tbl", "t.txt"])
def test_a_table_of_one_file_has_no_parts(tmp_path: Path, name: str) -> None:
    content = {"t.mrt": DESCRIPTION + ROWS, "t.tbl": IPAC, "t.txt": "a b\n1 2\n"}[name]
    made(tmp_path, content, name)
    with pytest.raises(InputError, match="holds one table only"):
        io.read(tmp_path / f"{name}#2")


def test_values_of_ipac_that_cross_a_bar_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tbl"
    head = "\\fixlen = T\n|  id|  ra|\n|long|real|\n"
    path.write_text(f"{head}    7  1.5 \n    8  2.5 \n")
    assert io.open_table(path).read().to_dict(as_series=False) == {"id": [7, 8], "ra": [1.5, 2.5]}
    path.write_text(f"{head}    7  1.5 \n   89012.5 \n")
    with pytest.raises(InputError, match="line 5: has a value that crosses a bar"):
        io.open_table(path)
