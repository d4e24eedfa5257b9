"""What astropy writes into a FITS table: masks as columns, descriptions and units in COMMENT cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from starscale import io
from starscale.vocabulary.errors import InputError

MASK = [False, True, False]


def test_masks_that_are_columns(tmp_path: Path) -> None:
    table = Table()
    for name, values in (("source_id", [2**62, 2, 3]), ("flag", [True, True, False]), ("s", ["a", "b", "c"])):
        table[name] = MaskedColumn(values, mask=MASK)
    table["v"] = MaskedColumn(np.arange(6).reshape(3, 2), mask=[[0, 1], [0, 0], [1, 1]])
    for name in table.colnames:
        table[name].info.serialize_method["fits"] = "data_mask"
    table["mine.mask"] = [True, False, True]
    table["mine"] = [1, 2, 3]
    table.write(tmp_path / "t.fits")
    source = io.open_table(tmp_path / "t.fits")
    assert source.read().to_dict(as_series=False) == {
        "source_id": [2**62, None, 3],
        "flag": [True, None, False],
        "s": ["a", None, "c"],
        "v": [[0, None], [2, 3], [None, None]],
        "mine.mask": [True, False, True],
        "mine": [1, 2, 3],
    }
    assert source.read(["s"])["s"].to_list() == ["a", None, "c"]
    assert list(source.columns) == list(source.schema) == source.read().columns
    assert not any("SERIALIZED" in text for text in source.metadata.values())


def test_masked_quantities_descriptions_and_units(tmp_path: Path) -> None:
    table = QTable()
    table["g"] = Masked([1.0, 2.0, 3.0] * u.mag, mask=MASK)
    table["i"] = MaskedColumn([1, 2, 3], mask=MASK, unit="mas", description="masked, with " + "long text " * 20)
    table["i"].info.serialize_method["fits"] = "data_mask"
    table["g"].info.description = "a magnitude"
    table["g"].info.meta = {"ucd": "phot.mag"}
    table.meta["comments"] = ["first", "second"]
    table.write(tmp_path / "t.fits")
    source = io.open_table(tmp_path / "t.fits")
    assert source.read().to_dict(as_series=False) == {"g": [1.0, None, 3.0], "i": [1, None, 3]}
    g, i = source.columns["g"], source.columns["i"]
    assert (g.unit, g.ucd, g.description) == ("mag", "phot.mag", "a magnitude")
    assert (i.unit, i.description) == ("mas", "masked, with " + ("long text " * 20).strip())
    assert source.metadata["COMMENT"] == "first\nsecond"


@pytest.mark.parametrize("masked", [True, False])
def test_yaml_that_cannot_be_understood(tmp_path: Path, masked: bool) -> None:
    names = ["a", "a.mask" if masked else "b"]
    hdu = fits.BinTableHDU.from_columns([fits.Column(name, "L", array=[True, False]) for name in names])
    for line in ("--BEGIN-ASTROPY-SERIALIZED-COLUMNS--", "datatype: {[", "--END-ASTROPY-SERIALIZED-COLUMNS--"):
        hdu.header.add_comment(line)
    hdu.writeto(tmp_path / "t.fits")
    if masked:
        with pytest.raises(InputError, match="masks of its columns cannot be understood"):
            io.read(tmp_path / "t.fits")
    else:
        assert io.read(tmp_path / "t.fits").columns == ["a", "b"]
