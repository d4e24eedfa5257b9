"""Tables of TOPCAT (fits-plus): a VOTable in the primary data describes the extensions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from starscale import io

LONG = "right ascension, with a description that is longer than the one card that the extension has for it"
DOCUMENT = f"""<?xml version='1.0'?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE>
<RESOURCE><COOSYS ID="t1-coosys-1" epoch="J1991.25" equinox="J1975" system="FK5"/></RESOURCE>
<TABLE name="stars" nrows="3">
<FIELD datatype="long" name="id" ucd="meta.id"><DESCRIPTION>the identifier</DESCRIPTION></FIELD>
<FIELD datatype="double" name="ra" ref="t1-coosys-1" ucd="pos.eq.ra" unit="deg">
<DESCRIPTION>{LONG}</DESCRIPTION></FIELD>
<FIELD datatype="double" name="dec" ref="t1-coosys-1" ucd="pos.eq.dec" unit="deg"/>
</TABLE>
<TABLE name="more"><FIELD datatype="double" name="g" unit="mag"/></TABLE>
</RESOURCE>
</VOTABLE>"""


def plus(path: Path, document: str) -> Path:
    """Write a file as STIL 4.1.3 does; the extension has no units, and cuts its descriptions."""
    primary = fits.PrimaryHDU(np.frombuffer(document.encode(), np.uint8))
    primary.header["VOTMETA"] = True
    columns = [fits.Column("id", "K", array=[1]), *(fits.Column(name, "D", array=[0.5]) for name in ("ra", "dec"))]
    stars = fits.BinTableHDU.from_columns(columns, name="stars")
    stars.header["TCOMM2"] = LONG[:68]
    stars.header["TUCD3"] = "pos.eq.dec"
    more = fits.BinTableHDU.from_columns([fits.Column("g", "D", array=[9.5])], name="more")
    fits.HDUList([primary, stars, more]).writeto(path)
    return path


def test_columns_frame_and_epoch(tmp_path: Path) -> None:
    source = io.open_table(plus(tmp_path / "t.fits", DOCUMENT))
    ra = source.columns["ra"]
    assert (ra.unit, ra.ucd, ra.description) == ("deg", "pos.eq.ra", LONG)
    assert source.columns["id"].description == "the identifier"
    assert (source.frame, source.epoch) == ("FK5 J1975", 1991.25)
    assert source.read().rows() == [(1, 0.5, 0.5)]
    assert io.open_table(f"{tmp_path / 't.fits'}#more").columns["g"].unit == "mag"


@pytest.mark.parametrize(
    "document",
    ["not XML", DOCUMENT.replace('<FIELD datatype="long"', '<FIELD name="x"/><FIELD datatype="long"'), "<a/>"],
)
def test_a_document_that_does_not_fit(tmp_path: Path, document: str) -> None:
    source = io.open_table(plus(tmp_path / "t.fits", document))
    assert source.columns["ra"].description == LONG[:68]
    assert source.columns["dec"].ucd == "pos.eq.dec"
    assert (source.frame, source.epoch) == ("", None)
