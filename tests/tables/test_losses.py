"""docs/formats.md says what each format does not keep; the table there is what writing and reading back gives.

After a change that is meant: ``python tests/tables/test_losses.py`` writes the table anew.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest

from starscale import io
from starscale.tables.losses import losses
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from support.versions import whole_vectors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- losses: python tests/tables/test_losses.py -->\n", "<!-- end of losses -->\n"
#: Formats by the suffix that is written.
WRITTEN = {
    ".parquet": "Parquet",
    ".hats": "HATS",
    ".fits": "FITS",
    ".vot": "VOTable",
    ".ecsv": "ECSV",
    ".csv": "CSV, TSV",
}
#: A column of every kind, with the words for it, and whether the kind of its type is called a type of numbers.
KINDS: dict[str, tuple[str, pl.Series]] = {
    "int64": ("64-bit integers", pl.Series([2**63 - 1, None, -5])),
    "int32": ("32-bit integers", pl.Series([1, None, -5], dtype=pl.Int32)),
    "int16": ("16-bit integers", pl.Series([1, None, -5], dtype=pl.Int16)),
    "int8": ("8-bit integers", pl.Series([1, None, -5], dtype=pl.Int8)),
    "uint8": ("unsigned bytes", pl.Series([200, None, 5], dtype=pl.UInt8)),
    "uint16": ("unsigned 16-bit integers", pl.Series([60_000, None, 5], dtype=pl.UInt16)),
    "uint32": ("unsigned 32-bit integers", pl.Series([4_000_000_000, None, 5], dtype=pl.UInt32)),
    "uint64": ("unsigned 64-bit integers", pl.Series([2**64 - 2, None, 5], dtype=pl.UInt64)),
    "float64": ("double precision", pl.Series([0.1, None, float("inf")])),
    "float32": ("single precision", pl.Series([0.1, None, float("inf")], dtype=pl.Float32)),
    "bool": ("booleans", pl.Series([True, None, False])),
    "text": ("texts", pl.Series(["ω Cen", None, 'with "quotes", commas'])),
    "digits": ("texts of digits without a leading zero", pl.Series(["12", "10", None])),
    "blank": ("empty texts", pl.Series(["", None, "a"])),
    "category": ("categories", pl.Series(["a", None, "b"], dtype=pl.Categorical)),
    "date": ("dates", pl.Series([dt.date(2020, 1, 2), None, dt.date(2021, 1, 1)])),
    "time": ("times", pl.Series([dt.datetime(2020, 1, 2, 3, 4, 5, 6), None, dt.datetime(2021, 1, 1)])),
    "decimal": ("decimals", pl.Series(["1.10", None, "2.25"]).cast(pl.Decimal(10, 2))),
    "vector": ("vectors", pl.Series([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=pl.Array(pl.Float64, 2))),
    "gaps": (
        "vectors that are missing",
        pl.Series([[1.0, None], None, [5.0, 6.0]], dtype=pl.Array(pl.Float64, 2)),
    ),
    "list": ("lists of varying length", pl.Series([[1.0], None, [5.0, 6.0]])),
    "binary": ("bytes", pl.Series([b"a", None, b"\0"])),
    "struct": ("structures", pl.Series([{"a": 1}, None, {"a": 2}])),
}
POSITION = {"ra": pl.Series([10.0, 20.0, 30.0]), "dec": pl.Series([1.0, 2.0, 3.0])}
ABOUT = {
    "ra": Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "right ascension"),
    "dec": Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "declination"),
}
METADATA = {"title": "MOCK stars", "position_system": "ICRS", "position_epoch": "J2016.0"}


def fate(kind: str, suffix: str) -> str:
    """What becomes of a kind of column: empty if it is kept."""
    frame = pl.DataFrame({**POSITION, kind: KINDS[kind][1]})
    try:
        lost = losses(frame, ABOUT, {}, f"t{suffix}")
    except InputError:
        return "refused"
    (said,) = [line for line in lost if kind in line][:1] or [""]
    if said.startswith("types"):
        become = re.search(r"read as (\w+)", said)
        assert become
        return become[1]
    return "missing" if said.startswith("empty") else "changed" if said else ""


def about_columns(suffix: str) -> str:
    """Which descriptions and metadata a format does not keep."""
    lost = losses(pl.DataFrame(POSITION), ABOUT, METADATA, f"t{suffix}")
    return ", ".join(line.partition(":")[0] for line in lost if not line.startswith("types"))


def row(suffix: str) -> str:
    fates = {kind: fate(kind, suffix) for kind in KINDS}
    refused = [KINDS[kind][0] for kind, end in fates.items() if end == "refused"]
    missing = [KINDS[kind][0] for kind, end in fates.items() if end == "missing"]
    changed = [f"{KINDS[k][0]} ({end})" for k, end in fates.items() if end not in ("", "refused", "missing")]
    cells = [WRITTEN[suffix], about_columns(suffix), ", ".join(changed), ", ".join(missing), ", ".join(refused)]
    return f"| {' | '.join(cell or '-' for cell in cells)} |\n"


def table() -> str:
    head = "| format | not kept | read back as another type | read back as missing | refused |\n"
    return head + "|---|---|---|---|---|\n" + "".join(row(suffix) for suffix in WRITTEN)


def parts() -> tuple[str, str, str]:
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    inside, end, after = rest.partition(END)
    assert begin, f"{PAGE} lacks {BEGIN}"
    assert end, f"{PAGE} lacks {END}"
    return before, inside, after


@whole_vectors
def test_the_page_says_what_each_format_does_not_keep() -> None:
    assert parts()[1] == table()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_kept_kind_is_really_kept(suffix: str, tmp_path: Path) -> None:
    for kind, (_, values) in KINDS.items():
        if fate(kind, suffix) == "":
            frame = pl.DataFrame({**POSITION, kind: values})
            io.write(frame, tmp_path / f"{kind}{suffix}")
            back = io.read(tmp_path / f"{kind}{suffix}").select(frame.columns).sort("ra")
            assert back[kind].to_list() == values.to_list()


def test_losses_can_be_found() -> None:
    assert fate("list", ".csv") == "refused"
    assert fate("float32", ".csv") == "Float64"
    assert fate("blank", ".fits") == "missing"
    assert "units" in about_columns(".csv")


if __name__ == "__main__":
    page = parts()
    PAGE.write_text(page[0] + BEGIN + table() + END + page[2], encoding="utf-8")
