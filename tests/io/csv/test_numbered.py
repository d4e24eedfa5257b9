"""Tables of SExtractor, whose comments number the columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.table import Table

from starscale import io

HEAD = """#   1 NUMBER          Running object number
#   2 ALPHA_J2000     Right ascension of barycenter (J2000)    [deg]
#   3 MAG_APER        Fixed aperture magnitude vector          [mag]
#   6 FLAGS           Extraction flags
"""
ROWS = ["         1  44.5  -10.5  99.0 1e3   0", "         2 -44.5  12.25 -3 4.5  24"]


@pytest.mark.parametrize("name", ["t.cat", "t.txt", "t.csv"])
def test_names_units_and_descriptions(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(HEAD + "".join(f"{row}\n" for row in ROWS))
    source = io.open_table(tmp_path / name)
    table = source.read()
    theirs = Table.read(tmp_path / name, format="ascii.sextractor")
    assert (
        table.columns
        == theirs.colnames
        == ["NUMBER", "ALPHA_J2000", "MAG_APER", "MAG_APER_1", "MAG_APER_2", "FLAGS"]
    )
    assert table.to_dict(as_series=False) == {name: theirs[name].tolist() for name in theirs.colnames}
    assert source.columns["ALPHA_J2000"].unit == "deg"
    assert source.columns["ALPHA_J2000"].description == "Right ascension of barycenter (J2000)"
    assert source.columns["MAG_APER_2"].unit == "mag"
    assert source.notes == ()


def test_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.cat").write_text(HEAD)
    assert io.read(tmp_path / "t.cat").shape == (0, 6)


@pytest.mark.parametrize("comments", ["# 1 note\n", "# 1 first\n# 2 second\n", "# 2 a\n# 1 b\n"])
def test_other_comments_may_be_numbered(tmp_path: Path, comments: str) -> None:
    (tmp_path / "t.csv").write_text(f"{comments}x,y\n1,2\n")
    assert io.read(tmp_path / "t.csv").to_dict(as_series=False) == {"x": [1], "y": [2]}
