"""A run with several label surveys: one scale, in the run's folder and report, and not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import starscale as ss
from starscale.vocabulary.errors import InputError
from support.recorded_progress import RecordedProgress

SECOND = (
    '[[labels]]\nsurvey = "apogee_dr17"\npath = "mock/apogee_dr17.parquet"\n\n[homogenize]\nleave_out = false\n\n'
)


def several(sky: Path, name: str, change: tuple[str, str] = ("", "")) -> Path:
    text = (
        (sky / "run.toml").read_text().replace("[model]", f"{SECOND}[model]").replace("epochs = 8", "epochs = 2")
    )
    path = sky / name
    path.write_text(text.replace(*change) if change[0] else text)
    return path


def test_labels_of_two_surveys(sky: Path) -> None:
    run_file = several(sky, "several.toml")
    said: list[str] = []
    result = ss.run(run_file, sky / "several", progress=RecordedProgress(said))
    labels = ss.read(result.folder / "labels.parquet")
    assert labels["n_surveys"].max() == 2
    assert set(labels["surveys"].unique()) == {1, 2, 3}
    assert ss.read(result.folder / "labels_measurements.parquet")["survey"].n_unique() == 2
    page = result.report.read_text()
    assert "Labels of several surveys are on the scale of <b>galah_dr3</b>" in page
    assert "Cuts of the label survey apogee_dr17" in page
    again: list[str] = []
    ss.run(run_file, sky / "several", progress=RecordedProgress(again))
    assert "homogenize: unchanged" in again
    assert "homogenize: unchanged" not in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("[homogenize]\n", '[homogenize]\nanchor = "galah"\n'),
            "unknown survey 'galah'.*Did you mean",
        ),
        (('"apogee_dr17"', '"galah_dr3"'), "'galah_dr3' is named twice"),
        (('path = "mock/apogee_dr17.parquet"\n', ""), "each needs a `path` or a `fetch`"),
        (
            ("[homogenize]\n", '[homogenize.reference]\nsurvey = "x"\npath = "no.fits"\n[homogenize]\n'),
            "no.fits: no such",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(sky: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ss.check(several(sky, "wrong.toml", change))
