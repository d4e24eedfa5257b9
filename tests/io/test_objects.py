"""Tables in memory, of whatever library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from starscale import io
from starscale.vocabulary.errors import InputError

BIG = 2**63 - 1


def test_polars() -> None:
    table = pl.DataFrame({"a": [1, None]})
    assert io.read(table) is table
    assert io.read(table.lazy().filter(pl.col("a") == 1)).height == 1
    assert io.read(pl.DataFrame({"a": [1], "b": [2]}), columns=["b"]).columns == ["b"]


def test_arrow() -> None:
    table = io.read(pa.table({"a": pa.array([BIG, None]), "b": ["x", None]}))
    assert table.to_dict(as_series=False) == {"a": [BIG, None], "b": ["x", None]}


def test_pandas() -> None:
    frame = pd.DataFrame(
        {"a": pd.array([BIG, None], dtype="Int64"), "f": [1.5, np.nan], "s": ["x", None]}, index=[7, 8]
    )
    table = io.read(frame)
    assert table.to_dict(as_series=False) == {"a": [BIG, None], "f": [1.5, None], "s": ["x", None]}
    with pytest.raises(InputError, match="pandas DataFrame"):
        io.read(pd.DataFrame({"a": [1, "x", object()]}))


def test_astropy() -> None:
    table = Table(
        {
            "id": MaskedColumn([BIG, 5], mask=[False, True]),
            "swapped": np.array([1.5, -2.0], dtype=">f8"),
            "small": np.array([1, 2], dtype=">i2"),
            "bytes": np.array([b"abc", "é".encode()]),
            "text": MaskedColumn(["x", "y"], mask=[True, False]),
            "flag": MaskedColumn([True, False], mask=[False, True]),
            "vector": np.arange(6.0).reshape(2, 3),
            "ragged": np.array([np.array([1, 2]), np.array([3])], dtype=object),
            "complex": np.array([1 + 2j, 3 - 1j]),
        }
    )
    got = io.read(table)
    assert got.to_dict(as_series=False) == {
        "id": [BIG, None],
        "swapped": [1.5, -2.0],
        "small": [1, 2],
        "bytes": ["abc", "é"],
        "text": [None, "y"],
        "flag": [True, None],
        "vector": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "ragged": [[1, 2], [3]],
        "complex": [[1.0, 2.0], [3.0, -1.0]],
    }
    assert got["small"].dtype == pl.Int16
    assert io.read(table[:0]).shape == (0, 9)


def test_quantities_become_bare_numbers() -> None:
    table = QTable({"pm": [1.0, 2.0] * u.mas / u.yr, "d": Masked([1.0, 2.0] * u.kpc, mask=[True, False])})
    assert io.read(table).to_dict(as_series=False) == {"pm": [1.0, 2.0], "d": [None, 2.0]}


def test_what_no_column_can_hold_is_refused_by_name() -> None:
    table = QTable({"a": [1.0], "where": SkyCoord([1.0], [2.0], unit="deg")})
    with pytest.raises(InputError, match="column 'where': holds SkyCoord"):
        io.read(table)


@pytest.mark.parametrize("thing", [[1, 2], {"a": [1]}, None, 5, b"x.csv"])
def test_what_is_no_table_is_refused(thing: object) -> None:
    with pytest.raises(InputError, match="is not a table"):
        io.read(thing)


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(InputError) as error:
        io.read(pl.DataFrame({"source_id": [1], "ra": [1.0]}), columns=["sourceid", "ra", "teff"])
    assert "2 problems" in str(error.value)
    assert "Did you mean 'source_id'?" in str(error.value)
    assert "The columns are: source_id, ra." in str(error.value)
    with pytest.raises(InputError, match="twice"):
        io.read(pl.DataFrame({"ra": [1.0]}), columns=["ra", "ra"])


def test_importing_the_layer_loads_no_heavy_library() -> None:
    code = (
        "import sys, starscale.io; "
        "print([name for name in ('astropy', 'pyarrow', 'pandas', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
