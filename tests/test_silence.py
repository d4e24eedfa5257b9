"""In Python a verb prints nothing, on either stream; with ``progress`` it says that the work is complete."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import starscale as ss
from starscale.io.progress import DisplayedProgress

GAIA_SKYMAPPER = {"left_survey": "gaia_dr3", "right_survey": "skymapper_dr2"}
LABELS = """\
mock = true

[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"

[[labels]]
survey = "galah_dr3"
path = "mock/galah_dr3.parquet"

[[labels]]
survey = "apogee_dr17"
path = "mock/apogee_dr17.parquet"

[homogenize]
leave_out = false
"""

Verb = Callable[[Path, Path, Path, Any], object]


def _clean(sky: Path, _run: Path, output: Path, progress: Any) -> object:
    ss.clean(sky / "mock/skymapper_dr2.parquet", survey="skymapper_dr2", progress=progress)
    return ss.clean(
        sky / "mock/skymapper_dr2.parquet",
        survey="skymapper_dr2",
        output=output / "clean.parquet",
        progress=progress,
    )


def _match(sky: Path, _run: Path, output: Path, progress: Any) -> object:
    tables = (sky / "mock/gaia_dr3.parquet", sky / "mock/skymapper_dr2.parquet")
    ss.match(*tables, **GAIA_SKYMAPPER, progress=progress)
    return ss.match(*tables, **GAIA_SKYMAPPER, output=output / "pairs.parquet", order=1, progress=progress)


def _predict(_sky: Path, run: Path, output: Path, progress: Any) -> object:
    ss.predict(run / "model", run / "matched.parquet", progress=progress)
    return ss.predict(run / "model", run / "matched.parquet", output / "catalogue.parquet", progress=progress)


def _train(sky: Path, run: Path, output: Path, progress: Any) -> object:
    return ss.train(sky / "run.toml", table=run / "training.parquet", output=output / "model", progress=progress)


def _homogenize(sky: Path, _run: Path, output: Path, progress: Any) -> object:
    (sky / "silent_labels.toml").write_text(LABELS)
    return ss.homogenize(sky / "silent_labels.toml", output / "labels.parquet", progress=progress)


def _run(sky: Path, _finished: Path, output: Path, progress: Any) -> object:
    return ss.run(sky / "run.toml", output / "run", progress=progress)


VERBS: dict[str, Verb] = {
    "clean": _clean,
    "match": _match,
    "predict": _predict,
    "train": _train,
    "homogenize": _homogenize,
    "run": _run,
}


@pytest.mark.parametrize("name", VERBS)
def test_nothing_is_printed(
    name: str, sky: Path, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    VERBS[name](sky, finished, tmp_path, None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["clean", "match", "predict", "train"])
def test_progress_ends_with_the_total(name: str, sky: Path, finished: Path, tmp_path: Path) -> None:
    stream = io.StringIO()
    VERBS[name](sky, finished, tmp_path, DisplayedProgress(stream))
    last = stream.getvalue().splitlines()[-1]
    counted = re.search(r"([\d,]+) of ([\d,]+) \w+ \(100 %\)", last)
    assert counted is not None, last
    assert counted[1] == counted[2]
