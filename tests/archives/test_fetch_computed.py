"""Fetching of tables whose survey computes columns, keeps bands apart and cuts labels; a service in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.archives.api import fetch
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.run import FetchSettings
from support.fake_tap import FakeTap, serving

SURVEY = """
name = "fluxes"
title = "Fluxes with labels"
kind = "photometric"
service = "{service}"
table = "cat.fluxes"

[id]
column = "star_id"

[bands.u]
magnitude = "u_mag"
error = "u_err"
flux = "f"
flux_ivar = "w"
zero_point = 31.4
softening = 50.0
keep = "bad = 0"
wavelength = 350

[labels]
fe_h = {{ value = "feh_corrected" }}

[[cuts]]
name = "low"
keep = "number < 90"

[[cuts]]
name = "bright"
keep = "u_mag < 25.5"

[[cuts]]
name = "signal"
keep = "snr > 10"
of = "labels"

[columns]
star_id = {{ dtype = "int64" }}
number = {{ dtype = "int32" }}
f = {{ unit = "nJy" }}
w = {{ unit = "nJy-2" }}
bad = {{ dtype = "int32" }}
feh = {{}}
snr = {{}}
feh_corrected = {{ expression = "feh + 0.1", valid = "snr > 0" }}
"""


@pytest.fixture
def tap() -> Iterator[FakeTap]:
    i = pl.int_range(100, eager=True)
    table = pl.DataFrame(
        {
            "star_id": i + 2**60,
            "number": i.cast(pl.Int32),
            "f": i * 10.0 - 50.0,
            "w": (i % 7) * 1.0,
            "bad": (i % 5 == 0).cast(pl.Int32),
            "feh": -i / 50,
            "snr": (i % 20) * 1.0,
        }
    )
    service = FakeTap({"cat.fluxes": table})
    with serving(service):
        yield service


def test_the_inputs_are_fetched_and_the_rest_is_computed_on_reading(tap: FakeTap, tmp_path: Path) -> None:
    (tmp_path / "fluxes.toml").write_text(SURVEY.format(service=tap.url))
    survey = ss.load_survey(tmp_path / "fluxes.toml")
    raw = tap.tables["cat.fluxes"]
    settings = FetchSettings(cuts=Cuts())
    done = fetch(survey, tmp_path / "cut.parquet", settings=settings, whole=True)
    assert not any("u_mag" in text or "feh_corrected" in text for text in tap.queries)
    assert any("number < 90" in text for text in tap.queries), "a cut of a plain column is the archive's"
    assert done.attrition is not None
    assert [row.name for row in done.attrition.rows] == ["bright"], "labels are cut by those who read"
    bright = done.attrition.rows[0].in_sequence
    assert done.account.document() == {"in": done.rows + bright, "out": done.rows, "removed": {"bright": bright}}
    expected = ss.clean(raw, survey=survey, cuts=Cuts(without=("signal",))).table
    assert expected is not None
    assert expected.height == done.rows
    # The file has what the archive has; the same rows follow from it.
    file = pl.read_parquet(done.path)
    assert file.columns == raw.columns
    assert ss.read(done.path, survey=survey).equals(expected)
    chosen = FetchSettings(columns=("u_mag", "feh"), cuts=Cuts(without=("low", "bright")))
    few = fetch(survey, tmp_path / "few.parquet", settings=chosen, whole=True)
    assert set(pl.read_parquet(few.path).columns) == {"star_id", "f", "w", "bad", "feh"}
    read = ss.read(few.path, survey=survey)
    assert read["u_mag"].equals(ss.read(raw, survey=survey)["u_mag"])
