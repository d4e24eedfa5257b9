"""Positions in hours, minutes and seconds: compared with astropy, and refused where they are no angle."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from astropy.coordinates import Angle
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.tables.sexagesimal import in_degrees
from starscale.vocabulary.errors import InputError

MARKS = st.sampled_from([("", ":", ":", ""), ("", " ", " ", ""), ("h", "m", "s")])


@given(
    st.floats(0, 359.999),
    st.floats(-89.999, 89.999),
    st.sampled_from([":", " ", "fromunit"]),
    st.integers(2, 8),
)
@settings(max_examples=30, deadline=None)
def test_angles_are_those_of_astropy(ra: float, dec: float, separator: str, digits: int) -> None:
    texts = (
        Angle(ra, "deg").to_string("hourangle", sep=separator, precision=digits),
        Angle(dec, "deg").to_string("deg", sep=separator, precision=digits, alwayssign=True),
    )
    for text, unit, right in zip(texts, ("hourangle", "deg"), (True, False), strict=True):
        found = in_degrees(pl.Series(["", text, None]), "", "t", right_ascension=right)
        assert found is not None
        assert found.to_list()[::2] == [None, None]
        assert found[1] == pytest.approx(Angle(text, unit).deg, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "right", "expected"),
    [
        ("12:30:45.6", "", True, 187.69),
        ("12 30 45.6", "h:m:s", True, 187.69),
        ("12h30m45.6s", "", True, 187.69),
        ("187:41:24", "d:m:s", True, 187.69),
        ("187d41m24s", "", True, 187.69),
        ("187:41:24", "deg", True, 187.69),
        ("-00:30:00", "", False, -0.5),
        ("−00 30 00", "", False, -0.5),
        ("+05:10:12", "deg", False, 5.17),
    ],
)
def test_hours_and_degrees(text: str, unit: str, right: bool, expected: float) -> None:
    found = in_degrees(pl.Series([text]), unit, "t", right_ascension=right)
    assert found is not None
    assert found[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        (["12:30:45", "187.69"], True),
        (["12:60:45"], True),
        (["25:00:00"], True),
        (["95:00:00"], False),
        (["5:00:00", "north"], False),
    ],
)
def test_what_is_no_angle(texts: list[str], right: bool) -> None:
    with pytest.raises(InputError, match=f"1 of {len(texts)} values are no angle"):
        in_degrees(pl.Series(texts), "", "t.csv: column 'ra'", right_ascension=right)


def test_positions_of_a_survey_in_a_file_and_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("tmass_oid,ra,dec,j_m\n1,12:30:45.6,-05:10:12,9.5\n2,,,9.5\n")
    assert ss.read(path).schema["ra"] == pl.String
    for table in (path, ss.read(path)):
        stars = ss.read(table, survey="tmass")
        assert stars["ra"].to_list() == pytest.approx([187.69, None])
        assert stars["dec"].to_list() == pytest.approx([-5.17, None])


def test_other_columns_are_no_angles(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("tmass_oid,ra,dec,j_m\n1,1.5,2.5,12:30:45\n")
    with pytest.raises(InputError, match=r"'j_m'.*not of type Float"):
        ss.read(path, survey="tmass")
