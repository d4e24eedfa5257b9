"""What is predicted of a star does not depend on the stars that are predicted with it: not in the last bit."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import starscale as ss


def test_slices_of_any_length_give_the_bytes_of_the_whole(finished: Path) -> None:
    model = ss.load(finished / "model")
    table = ss.read(finished / "matched.parquet")
    whole = model.predict(table)
    for rows in (97, 1111):
        assert pl.concat([model.predict(part) for part in table.iter_slices(rows)]).equals(whole)
