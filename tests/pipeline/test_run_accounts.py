"""Every step of a run accounts for its rows, and the files hold as many."""

from __future__ import annotations

from pathlib import Path

import starscale as ss
from starscale import io


def test_every_step_of_a_run_accounts_for_its_rows(finished: Path) -> None:
    accounts = ss.RunResult(finished, {}).accounts
    names = {
        "clean gaia_dr3": "clean_gaia_dr3.parquet",
        "clean skymapper_dr2": "clean_skymapper_dr2.parquet",
        "match skymapper_dr2": "pairs_skymapper_dr2.parquet",
        "labels galah_dr3": "labels.parquet",
        "join": "matched.parquet",
        "training set": "training.parquet",
        "predict": "catalogue.parquet",
    }
    assert set(accounts) == set(names)
    for step, file in names.items():
        assert accounts[step].rows_out == io.open_table(finished / file).n_rows, step
    # What leaves one step is what the next one reads.
    assert accounts["join"].rows_in == accounts["clean gaia_dr3"].rows_out
    assert accounts["training set"].rows_in == accounts["labels galah_dr3"].rows_out
    assert accounts["predict"].rows_in == accounts["join"].rows_out
    assert accounts["match skymapper_dr2"].rows_in == accounts["clean gaia_dr3"].rows_out
