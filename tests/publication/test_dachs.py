"""Resource descriptors of DaCHS: what stands in them, and what a parser of XML makes of it."""

from __future__ import annotations

from keyword import iskeyword
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss

CATALOGUE = pl.DataFrame(
    {
        "source_id": np.arange(4) + 10**18,
        "ra": [10.0, 20.0, 30.0, 40.0],
        "dec": [-5.0, 0.0, 5.0, None],
        "teff": pl.Series([5000.0, None, 5500.0, 6000.0], dtype=pl.Float32),
        "flags": pl.Series([0, None, 3, 4], dtype=pl.Int32),
        "quality": ["good", None, 'b<"&\\x', "bad"],
        "ok": [True, None, False, True],
    }
)


def test_a_descriptor_says_what_the_table_says(tmp_path: Path) -> None:
    ss.write(CATALOGUE, tmp_path / "c.parquet", provenance={"mock": True})
    made = ss.publish(tmp_path / "c.parquet", tmp_path / "My-Stars" / "q.rd", title="A & B", authors=["Doe, J."])
    assert [path.relative_to(tmp_path).as_posix() for path in made.files] == [
        "My-Stars/q.rd",
        "My-Stars/data/main.vot",
    ]
    assert (made.rows, made.missing, made.mock) == (4, (), True)
    resource = ET.parse(made.files[0]).getroot()
    assert resource.attrib == {"schema": "my_stars", "resdir": "."}
    metas = {meta.attrib["name"]: meta.text for meta in resource.findall("meta")}
    assert metas["title"] == "A & B"
    assert str(metas["description"]).startswith("MOCK DATA")
    # Those that DaCHS wants of every resource.
    assert {"creationDate", "title", "description", "subject", "creator.name"} <= set(metas)
    (table,) = resource.findall("table")
    assert table.attrib == {"id": "main", "onDisk": "True", "adql": "True", "mixin": "//scs#q3cindex"}
    assert [index.attrib["columns"] for index in table.findall("index")] == ["source_id"]
    columns = {column.attrib["name"]: column for column in table.findall("column")}
    assert list(columns) == CATALOGUE.columns
    types = {name: column.attrib["type"] for name, column in columns.items()}
    assert list(types.values()) == ["bigint", *["double precision"] * 2, "real", "integer", "text", "boolean"]
    assert columns["teff"].attrib["unit"] == "K"
    assert columns["teff"].attrib["ucd"] == "phys.temperature.effective"
    assert columns["flags"][0].attrib == {"nullLiteral": str(-(2**31))}
    assert resource.findtext("data/sources") == "data/main.vot"
    stored = Table.read(made.files[1])
    assert stored["ok"].tolist() == [1, None, 0, 1]
    assert stored["quality"].tolist()[2] == 'b<"&\\x'
    assert ss.read(made.files[1]).drop("ok").equals(CATALOGUE.drop("ok"))


@settings(max_examples=20)
@given(
    title=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip),
    names=st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=5, unique=True),
)
def test_any_text_and_any_table_make_a_descriptor_that_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, title: str, names: list[str]
) -> None:
    table = pl.DataFrame({name: [1.0, None] for name in names if not iskeyword(name)} or {"x": [1.0]})
    made = ss.publish(table, tmp_path_factory.mktemp("rd") / "q.rd", title=title)
    resource = ET.parse(made.files[0]).getroot()
    found = next(meta.text for meta in resource.findall("meta") if meta.attrib["name"] == "title")
    assert str(found).replace("\\\\", "\\") == title
    assert [column.attrib["name"] for column in resource.findall("table/column")] == table.columns
    assert "mixin" not in resource.findall("table")[0].attrib


def test_names_that_are_none_of_a_database_are_refused_together(tmp_path: Path) -> None:
    table = pl.DataFrame({"class": [1], "[Fe/H]": [0.1], "_healpix": [3], "teff": [5000.0]})
    with pytest.raises(ss.InputError) as error:
        ss.publish(table, tmp_path / "q.rd")
    for text in ("3 problems", "'class'", "'[Fe/H]'", "'_healpix'", "starscale convert --rename NEW=class"):
        assert text in str(error.value)
    with pytest.raises(ss.InputError, match="vec"):
        ss.publish(pl.DataFrame({"vec": [[1, 2]]}), tmp_path / "q.rd")
    assert not (tmp_path / "data").exists()
