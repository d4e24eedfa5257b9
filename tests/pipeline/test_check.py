"""`check`: what is wrong, doubtful or good to know about a file, and what starscale's own files are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    MEASUREMENT_COLUMNS,
    NEIGHBOUR_COLUMNS,
    UNMATCHED_COLUMNS,
)

IDS = [4295806720, 34361129088, 38655544960]
STARS = pl.DataFrame({"source_id": IDS, "ra": [10.0, 20.0, 300.0], "dec": [1.0, 2.0, 3.0]})
SKYMAPPER = pl.DataFrame(
    {"object_id": [1, 2], "raj2000": [10.0, 20.0], "dej2000": [-1.0, -2.0], "mean_epoch": [56700.5, 57000.5]}
)


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    # main() prints the errors of the user.
    return (
        (2, done.output + str(done.exception))
        if isinstance(done.exception, ss.InputError)
        else (
            done.exit_code,
            done.output,
        )
    )


def stated(tmp_path: Path, suffix: str, **metadata: str) -> Path:
    io.write(STARS, path := tmp_path / f"t{suffix}", metadata=metadata)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".vot", ".fits"])
@pytest.mark.parametrize("frame", ["FK4", "GALACTIC", "ECLIPTIC"])
def test_positions_in_another_frame_are_refused(tmp_path: Path, suffix: str, frame: str) -> None:
    path = stated(tmp_path, suffix, position_system=frame)
    with pytest.raises(ss.InputError, match=f"has positions in the frame {frame}.*transform_to"):
        ss.read(path, survey="gaia_dr3")
    with pytest.raises(ss.InputError, match="in the frame"):
        ss.clean(path, survey="gaia_dr3", output=tmp_path / "o.parquet")
    with pytest.raises(ss.InputError, match="in the frame"):
        ss.match(path, path, left_survey="gaia_dr3", right_survey="gaia_dr3")
    code, text = command(path, "--survey", "gaia_dr3")
    assert code == 2
    assert frame in text
    # Without a survey nothing is known about what the positions should be.
    assert ss.read(path).height == 3


@pytest.mark.parametrize("frame", ["ICRS", "FK5", "FK5 J2000", "FK5 J2000.0"])
def test_frames_that_agree_with_icrs(tmp_path: Path, frame: str) -> None:
    path = stated(tmp_path, ".parquet", position_system=frame)
    assert ss.read(path, survey="gaia_dr3").height == 3
    noted = [line for line in ss.check(path, survey="gaia_dr3") if line.startswith("note: positions in the frame")]
    assert bool(noted) == (frame != "ICRS")


def test_fk5_of_another_equinox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ss.InputError, match="FK5 J1975"):
        ss.read(stated(tmp_path, ".parquet", position_system="FK5 J1975"), survey="gaia_dr3")


def test_another_epoch_is_a_warning(tmp_path: Path) -> None:
    path = stated(tmp_path, ".vot", position_system="ICRS", position_epoch="J1991.25")
    found = ss.check(path, survey="gaia_dr3")
    assert any(line.startswith("warning: the file states the epoch J1991.25") for line in found)
    code, text = command(path, "--survey", "gaia_dr3")
    assert code == 2
    assert "1991.25" in text
    assert "nothing wrong" not in text
    assert text.rstrip().endswith("1 warning: results may be wrong")
    same = stated(tmp_path, ".fits", position_system="ICRS", position_epoch="J2016.0")
    assert command(same, "--survey", "gaia_dr3")[0] == 0


def test_positions_in_single_precision(tmp_path: Path) -> None:
    io.write(STARS.cast({"ra": pl.Float32}), tmp_path / "t.parquet")
    (warning,) = [line for line in ss.check(tmp_path / "t.parquet", survey="gaia_dr3") if "warning" in line]
    assert warning == "warning: ra: single precision, steps of 0.1 arcsec at right ascension 300 degrees"


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([2457001.0, 2457002.0], "mean_epoch: largest value 2457002, which is a Julian date (JD), not a modified"),
        ([2014.5, 2015.5], "mean_epoch: largest value 2015.5, which is a Julian year, not a modified"),
        ([0.0, 57000.5], "mean_epoch: times from 0 to 57000.5, expected a modified Julian date"),
        ([5.7e8, 5.7e8], "mean_epoch: times from 570000000 to 570000000, expected a modified Julian date"),
    ],
)
def test_times_in_another_format(tmp_path: Path, times: list[float], said: str) -> None:
    io.write(SKYMAPPER.with_columns(pl.Series("mean_epoch", times)), tmp_path / "t.parquet")
    assert any(f"warning: {said}" in line for line in ss.check(tmp_path / "t.parquet", survey="skymapper_dr2"))
    io.write(SKYMAPPER, tmp_path / "right.parquet")
    assert not any("warning" in line for line in ss.check(tmp_path / "right.parquet", survey="skymapper_dr2"))


TIMES = """
name = "timed"
title = "Timed"
kind = "photometric"
id = {{ column = "source_id" }}
[columns]
source_id = {{ dtype = "int64" }}
{name} = {{ unit = "d"{said} }}
"""


@pytest.mark.parametrize(
    ("name", "said", "times", "expected"),
    [
        ("when", ', time = "mjd"', [2457001.0], "when: largest value 2457001, which is a Julian date"),
        ("when", ', time = "jd"', [57001.0], "when: largest value 57001, which is a modified Julian date"),
        ("when", ', time = "mjd"', [57001.0], ""),
        # A name says nothing: this could be a difference, or an error.
        ("mjd_range", "", [3.0], ""),
    ],
)
def test_the_format_of_a_time_is_what_the_survey_file_says(
    tmp_path: Path, name: str, said: str, times: list[float], expected: str
) -> None:
    (tmp_path / "timed.toml").write_text(TIMES.format(name=name, said=said))
    io.write(pl.DataFrame({"source_id": [1], name: times}), tmp_path / "t.parquet")
    warnings = [
        line for line in ss.check(tmp_path / "t.parquet", survey=tmp_path / "timed.toml") if "warn" in line
    ]
    assert bool(warnings) == bool(expected)
    assert all(expected in line for line in warnings)


def test_infinite_and_implausible_values_are_noted(tmp_path: Path) -> None:
    table = STARS.with_columns(
        parallax=pl.Series([np.inf, 1.0, np.nan]), phot_g_mean_mag=pl.Series([99.0, 15.0, 16.0], dtype=pl.Float32)
    )
    io.write(table, tmp_path / "t.csv")
    found = ss.check(tmp_path / "t.csv", survey="gaia_dr3")
    assert "note: parallax: 1 infinite, read as missing" in found
    assert "note: phot_g_mean_mag: 1 outside the plausible range, read as missing" in found
    assert command(tmp_path / "t.csv", "--survey", "gaia_dr3")[0] == 0


def test_repeated_names_and_other_tables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("source_id,ra,ra\n1,2.5,3.5\n")
    assert any("warning" in line and "ra" in line for line in ss.check(tmp_path / "t.csv"))
    one = "<RESOURCE type='results'><TABLE name='{}'><FIELD name='x' datatype='int'/><DATA><TABLEDATA>"
    one += "<TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE>"
    document = "<VOTABLE version='1.4' xmlns='http://www.ivoa.net/xml/VOTable/v1.3'>"
    (tmp_path / "t.vot").write_text(document + one.format("a") + one.format("b") + "</VOTABLE>")
    found = ss.check(tmp_path / "t.vot")
    assert any(line.startswith("note: ") and "b" in line for line in found)
    assert not any("warning" in line for line in found)


def test_what_is_only_good_to_know_is_no_warning(tmp_path: Path) -> None:
    """Sexagesimal positions that the survey turns into degrees, and a column-oriented table of TOPCAT."""
    text = "source_id,ra,dec\n1,10:20:30.5,-05:10:20\n2,11:00:00,+00:00:01\n"
    (tmp_path / "t.csv").write_text(text)
    assert command(tmp_path / "t.csv", "--survey", "gaia_dr3")[0] == 0
    columns = [fits.Column(name, "3D", dim="(1,3)", array=np.arange(3.0).reshape(1, 3, 1)) for name in "ab"]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    found = ss.check(tmp_path / "t.fits")
    assert "note: a column-oriented table: its one record is read as 3 rows" in found
    assert not any(line.startswith("warning") for line in found)


def test_a_doubt_stays_one_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for name in ("t.csv", "u.csv"):
        (tmp_path / "f" / name).write_text("source_id,ra,ra\n1,2.5,3.5\n")
    assert any(line.startswith("warning: t.csv: the column name 'ra'") for line in ss.check(tmp_path / "f"))


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (NEIGHBOUR_COLUMNS, "table of neighbours"),
        (UNMATCHED_COLUMNS, "table of sources without a pair"),
        (DUPLICATE_COLUMNS, "table of duplicated entries"),
        (MEASUREMENT_COLUMNS, "table of measurements"),
    ],
)
def test_own_tables_are_known_by_their_columns(tmp_path: Path, columns: dict[str, object], kind: str) -> None:
    ss.write(pl.DataFrame({name: [1] for name in columns}), tmp_path / "t.parquet", provenance={"mock": True})
    code, text = command(tmp_path / "t.parquet")
    assert code == 0
    assert kind in text
    assert "MOCK" in text
    assert text.rstrip().endswith("nothing wrong found")


def test_every_output_of_a_run_is_known_and_right(finished: Path, tmp_path: Path) -> None:
    for name, kind in {
        "": "the folder of a run",
        "model": "a model bundle",
        "catalogue.parquet": "a catalogue of predictions",
        "pairs_skymapper_dr2.parquet": "a table of pairs",
    }.items():
        code, text = command(finished / name)
        assert code == 0, text
        assert kind in text
        assert "MOCK" in text
        assert text.rstrip().endswith("nothing wrong found")
    copy = shutil.copytree(finished, tmp_path / "run")
    io.write(STARS, copy / "catalogue.parquet")
    (copy / "matched.parquet").unlink()
    code, text = command(copy)
    assert code == 2
    assert "catalogue.parquet: was changed after the run" in text
    assert "matched.parquet" in text


def test_texts_of_digits_that_are_numbers(tmp_path: Path) -> None:
    table = pl.DataFrame({"obj_id": ["a", "b"], "abf": [0, 10], "ra_pm_deg": [1.0, 2.0], "de_pm_deg": [1.0, 2.0]})
    io.write(table, tmp_path / "numbers.parquet")
    said = ss.check(tmp_path / "numbers.parquet", survey="catwise2020")
    assert [line for line in said if "abf: numbers, but cuts compare them as texts" in line]
    io.write(table.with_columns(pl.Series("abf", ["00", "10"])), tmp_path / "texts.parquet")
    assert not [line for line in ss.check(tmp_path / "texts.parquet", survey="catwise2020") if "as texts" in line]


@pytest.mark.parametrize("weights", [[0.0, 0.0], [-1.0, 0.0]])
def test_a_band_without_one_valid_error_is_wrong(tmp_path: Path, weights: list[float]) -> None:
    (tmp_path / "deep.toml").write_text(
        'name = "deep"\ntitle = "deep"\nkind = "photometric"\n[id]\ncolumn = "id"\n'
        "[bands.u]\n"
        'magnitude = "u_mag"\nerror = "u_error"\nwavelength = 3600.0\nextinction = 4.0\n'
        'flux = "f"\nflux_ivar = "w"\nzero_point = 31.4\nsoftening = 20.0\n'
        '[columns]\nid = { dtype = "int64" }\nf = { unit = "nJy" }\nw = { unit = "nJy-2" }\n'
    )
    table, survey = tmp_path / "deep.parquet", tmp_path / "deep.toml"
    pl.DataFrame({"id": [1, 2], "f": [50.0, 60.0], "w": weights}).write_parquet(table)
    with pytest.raises(ss.InputError) as caught:
        ss.check(table, survey=survey)
    (problem,) = caught.value.problems
    assert problem.where.endswith("deep.parquet: band 'u' (u_mag)")
    assert problem.found == "2 values, none of them valid"
    assert "inverse variances above 0" in problem.expected
    pl.DataFrame({"id": [1, 2], "f": [50.0, 60.0], "w": [0.0, 0.01]}).write_parquet(table)
    assert any("u_mag: 1 not valid, read as missing" in text for text in ss.check(table, survey=survey))
    unmeasured = pl.DataFrame({"id": [1, 2], "f": [None, None], "w": weights}, schema_overrides={"f": pl.Float64})
    unmeasured.write_parquet(table)
    ss.check(table, survey=survey)


def test_a_run_file_whose_tables_lack_columns(sky: Path, tmp_path: Path) -> None:
    """Of every table, all at once: what would stop the run after the steps before it."""
    shutil.copytree(sky / "mock", tmp_path / "mock")
    shutil.copy(sky / "run.toml", tmp_path)
    code, said = command(tmp_path / "run.toml")
    assert (code, "has the columns that are needed" in said) == (0, True)
    lost = {
        "gaia_dr3": ["phot_bp_mean_mag"],
        "skymapper_dr2": ["object_id", "v_psf", "flags_psf"],
        "galah_dr3": ["flag_sp"],
    }
    for table, columns in lost.items():
        path = tmp_path / "mock" / f"{table}.parquet"
        io.write(io.read(path).drop(columns), path)
    code, said = command(tmp_path / "run.toml")
    assert code == 2
    for table, columns in lost.items():
        for column in columns:
            assert f"mock/{table}.parquet: column '{column}': is missing, but needed" in said, (table, column)
    assert "5 problems" in said
    (tmp_path / "mock" / "skymapper_dr2.parquet").write_bytes(b"PAR1 cut short")
    code, said = command(tmp_path / "run.toml")
    assert (code, "skymapper_dr2.parquet" in said, "flag_sp" in said) == (2, True, True)
