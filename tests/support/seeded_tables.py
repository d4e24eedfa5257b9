"""Small random tables, each made from one whole number, fast enough for tens of thousands of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl

from support.kinds_of_tables import NUMPY, UNITS, Stated

NAMES = (
    "id",
    "ra",
    "G mag",
    "e_RA",
    "x,y",
    "no. 3",
    "[Fe/H]",
    "é",
    "a'b",
    "logg",
    "f;g",
    "n|m",
    "select",
    "T_eff",
)
TEXTS = (
    *(
        "a",
        "HD 1",
        "ω Cen ☃ 𝛼",
        'with "quotes", commas',
        "it's",
        "tab\tend",
        "line\nend",
        "\r\n",
        "#c",
        "  padded",
        "null",
    ),
    *(
        "NaN",
        "-99",
        "007",
        "1.10",
        "1E5",
        "True",
        "a;b|c",
        "\\N",
        "\ufeffmark",
        '"',
        "--",
        "12:30:45.6",
        "&amp;<",
        "]]>",
    ),
)
#: Tables that are written side by side: the time of a file is mostly that of opening it.
BESIDE = 10
_EXTREMES = {
    "f": (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.5, 1e-30, 3.4e38, 359.99999),
    "i": (0, 1, -1, 99, -9999),
    "u": (0, 1, 99),
}


def seeded(seed: int) -> Stated:
    """Return the table of a number: up to five columns of any type, with masks, units and extremes.

    The tables of ten numbers in a row have as many rows, up to five, so that they fit side by side.
    """
    rows = int(np.random.default_rng(seed // BESIDE).integers(0, 6))
    rng = np.random.default_rng((seed, 1))
    frame, units = {}, {}
    for name in (NAMES[i] for i in rng.permutation(len(NAMES))[: rng.integers(1, 6)]):
        dtype = [*NUMPY, pl.String()][rng.integers(len(NUMPY) + 1)]
        values = _values(rng, dtype, rows)
        hidden = rng.random(rows) < rng.choice((0.0, 0.3, 1.0), p=(0.5, 0.4, 0.1))
        frame[name] = pl.Series(name, [None if h else v for v, h in zip(values, hidden, strict=True)], dtype=dtype)
        units[name] = UNITS[rng.integers(len(UNITS))] if dtype.is_float() else ""
    return Stated(pl.DataFrame(frame), units, "<>"[(seed // BESIDE) % 2])


@lru_cache(maxsize=2)
def side_by_side(seeds: range) -> Stated:
    """Return the tables of several numbers as one, whose names end in the number."""
    tables = {seed: seeded(seed) for seed in seeds}
    frame = pl.concat(
        [t.frame.rename(lambda name, n=n: f"{name} {n}") for n, t in tables.items()], how="horizontal"
    )
    units = {f"{name} {n}": unit for n, table in tables.items() for name, unit in table.units.items()}
    return Stated(frame, units, tables[seeds[0]].order)


def _values(rng: np.random.Generator, dtype: pl.DataType, rows: int) -> list[object]:
    if dtype == pl.String:
        return [TEXTS[i] for i in rng.integers(len(TEXTS), size=rows)]
    if dtype == pl.Boolean:
        return (rng.random(rows) < 0.5).tolist()
    kind = np.dtype(NUMPY[dtype])
    extremes = np.array(_EXTREMES[kind.kind] if kind.kind == "f" else ())
    if kind.kind == "f":
        usual = rng.normal(size=rows) * 10.0 ** rng.integers(-5, 6)
    else:
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        usual = rng.integers(low, high, size=rows, dtype=kind, endpoint=True)
        extremes = np.array([low, high, *(one for one in _EXTREMES[kind.kind] if low <= one <= high)], dtype=kind)
    chosen = rng.choice(extremes, size=rows)
    with np.errstate(over="ignore"):
        return np.where(rng.random(rows) < 0.5, usual, chosen).astype(kind).tolist()
