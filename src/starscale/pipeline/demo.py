"""The verbs `make_mock` and `demo`: write a simulated sky, and do a whole run on it."""

from __future__ import annotations

import json
from pathlib import Path

from starscale import io
from starscale.io.progress import progress_of
from starscale.mock import make_sky
from starscale.pipeline.pipeline import RunResult, run
from starscale.surveys import load_survey, survey_names
from starscale.tables.api import PROVENANCE_KEY, described
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import record

_RUN_FILE = """\
# A whole run on the mock sky in the folder mock/. Everything here is SIMULATED.
extends = "default"
title = "starscale demo (mock sky)"
mock = true
seed = {seed}
repeats = 3

[catalogue]
survey = "gaia_dr3"
path = "mock/gaia_dr3.parquet"

[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "mock/bailer_jones_edr3.parquet"

[[photometry]]
survey = "skymapper_dr2"
path = "mock/skymapper_dr2.parquet"

[[labels]]
survey = "{labels}"
path = "mock/{labels}.parquet"

[model]
kind = "mixture"
# Smaller than the default, so that the demonstration is quick.
members = 2
epochs = 20

# The truth is known only because the sky is a mock.
[[compare]]
name = "truth (mock)"
path = "mock/truth.parquet"
columns = {{ teff = "teff", logg = "logg", fe_h = "fe_h" }}
"""


def make_mock(output: str | Path, *, stars: int = 100_000, seed: int = 1, spectra: bool = False) -> dict[str, int]:
    """Write a mock sky: tables in the formats of the archives, and the true labels.

    Parameters
    ----------
    output : path
        Folder for the Parquet files.
    stars : int
        Number of stars.
    seed : int
        The same seed makes the same sky.
    spectra : bool
        Whether to write the BP and RP spectra, too; the other tables do not depend on it.

    Returns
    -------
    dict of str to int
        Number of rows of each table.
    """
    sky = make_sky(n_stars=stars, seed=seed, spectra=spectra)
    packaged = survey_names()
    provenance = record(
        command="mock", mock=True, settings={"stars": stars, "seed": seed} | ({"spectra": True} if spectra else {})
    )
    for name, table in sky.tables.items():
        known = described(*([load_survey(name)] if name in packaged else []))
        metadata = {PROVENANCE_KEY: json.dumps(provenance), "starscale.mock": "simulated, not observed"}
        io.write(
            table,
            Path(output) / f"{name}.parquet",
            columns={c: known[c] for c in table.columns if c in known},
            metadata=metadata,
        )
    return {name: table.height for name, table in sky.tables.items()}


def demo(
    output: str | Path = "demo",
    *,
    stars: int = 100_000,
    seed: int = 1,
    labels: str = "lamost_dr5",
    progress: Progress | bool | None = None,
) -> RunResult:
    """Make a mock sky and do a whole run on it: catalogue, report, and errors relative to the truth.

    Parameters
    ----------
    output : path
        Folder for the mock tables, the run file and the run.
    stars, seed : int
        Size and seed of the mock sky.
    labels : str
        The spectroscopic survey of the mock sky that the labels are taken from.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    RunResult
    """
    folder, display = Path(output), progress_of(progress)
    display.message(f"making a mock sky of {stars:,} stars ...")
    make_mock(folder / "mock", stars=stars, seed=seed)
    io.atomic_text(folder / "run.toml", _RUN_FILE.format(seed=seed, labels=labels))
    return run(folder / "run.toml", folder / "run", progress=display)
