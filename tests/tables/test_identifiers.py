"""Identifiers that lost digits, repeat, or belong to another catalogue are refused; valid ones pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from starscale.surveys import Survey, load_survey
from starscale.tables.identifiers import identifier_problems, missing_identifiers
from starscale.vocabulary.strict import validate

LARGEST = 6917528997577384320


def survey(
    dtype: str = "int64", *, unique: bool = True, lower: int | None = 1, upper: int | None = LARGEST
) -> Survey:
    limits: dict[str, Any] = {"lower": lower, "upper": upper}
    return validate(
        Survey,
        {
            "name": "plain",
            "title": "Plain",
            "kind": "astrometric",
            "id": {"column": "id", "unique": unique, **{k: v for k, v in limits.items() if v is not None}},
            "columns": {"id": {"dtype": dtype}},
        },
        "test",
    )


def complaints(values: pl.Series | list[Any], of: Survey | None = None, **options: bool) -> list[str]:
    ids = values if isinstance(values, pl.Series) else pl.Series(values)
    return [str(problem) for problem in identifier_problems(ids, of or survey(), "here", **options)]


def gaia_like(n: int, seed: int = 0) -> np.ndarray:
    """Identifiers with the seven zero bits that real ones have."""
    return np.random.default_rng(seed).integers(2**61 // 128, LARGEST // 128, n) * 128


WHOLE = gaia_like(50)


def only(found: list[str], *parts: str) -> None:
    assert len(found) == 1, found
    for part in parts:
        assert part in found[0]


@pytest.mark.parametrize(
    "whole",
    [
        pl.Series(WHOLE),
        pl.Series(WHOLE).cast(pl.UInt64),
        pl.Series(WHOLE).cast(pl.String),
        pl.Series([f" {i} " for i in WHOLE]),
        pl.Series([1, 2, 3], dtype=pl.Int32),
        pl.Series([1.0, 2.0, 2.0**52]),
        pl.Series([1.0, None, float("nan")]),
        pl.Series([*WHOLE, None]),
        pl.Series(["1", "", None]),
        pl.Series([], dtype=pl.Int64),
        pl.Series([], dtype=pl.String),
        pl.Series([], dtype=pl.Float64),
    ],
    ids=lambda s: f"{s.dtype}-{len(s)}",
)
def test_whole_identifiers_pass(whole: pl.Series) -> None:
    assert complaints(whole) == []


def test_a_column_of_floats_is_refused() -> None:
    only(complaints(WHOLE.astype(float)), "50 identifiers are floating-point", "Export the table again")
    only(complaints([1.0, 2.5]), "floating-point numbers (first: 1)")
    only(complaints([1.0, 2.0**53]), "floating-point")
    only(complaints([1.0, float("inf")]), "floating-point")


@pytest.mark.parametrize("text", ["3.949039e+18", "3.949039E18", "4e18", "+4.E+18", " 3.9e+18 "])
def test_scientific_notation_is_refused(text: str) -> None:
    only(complaints(["3949039000000000123", text]), "1 of 2 identifiers are in scientific notation", text.strip())


def test_text_that_is_no_number_is_refused() -> None:
    only(complaints(["12", "Gaia DR3 13"]), "1 of 2 identifiers are not numbers (first: 'Gaia DR3 13')")


def test_rounded_integers_are_refused() -> None:
    only(complaints(pl.Series(WHOLE // 1000 * 1000)), "50 of 50 identifiers end in 3 zeros")
    only(complaints(pl.Series((WHOLE // 1000 * 1000).astype(str))), "end in 3 zeros")
    mixed = np.where(np.arange(50) < 10, WHOLE // 1000 * 1000, WHOLE // 1000 * 1000 + 128)
    only(complaints(pl.Series(mixed)), "10 of 50 identifiers end in 3 zeros")


def test_zeros_by_chance_are_not_refused() -> None:
    many = gaia_like(20_000, seed=1)
    assert (many % 1000 == 0).sum() >= 10  # the case occurs
    assert complaints(pl.Series(np.unique(many))) == []
    assert complaints([1_234_567_890_123_456_000]) == []
    # Small identifiers are exact in any program: round ones are just round.
    assert complaints([1000, 2000, 3000, 4000]) == []


def test_integers_that_went_through_a_float_and_back_are_refused() -> None:
    through = WHOLE.astype(float).astype(np.int64)
    assert (through % 1000 == 0).mean() < 0.1  # no trailing zeros give it away
    only(complaints(pl.Series(through)), "all 50 identifiers above 2**61", "Export the table again")
    only(complaints(pl.Series(through).cast(pl.UInt64)), "above 2**61")
    # One that a float cannot hold proves that the column is whole; few prove nothing.
    assert complaints(pl.Series([*through, WHOLE[through != WHOLE][0]])) == []
    assert complaints(pl.Series(through[:19])) == []
    # Below 2**60 a float holds every identifier with seven zero bits: real ones are all such.
    assert complaints(pl.Series(np.unique(WHOLE // 16 // 128 * 128))) == []


@pytest.mark.parametrize(
    "repeated",
    [[5, 5, 7], ["5", " 5", "7"], [5.0, 5.0, 7.0], pl.Series([5, 5, 7], dtype=pl.UInt64), [5, 5, None, None, 7]],
    ids=["int", "text", "float", "uint64", "null"],
)
def test_repeats_are_refused_where_the_survey_has_none(repeated: Any) -> None:
    only(complaints(repeated), "1 rows repeat an identifier of another row (first: 5)")
    assert complaints(repeated, survey(unique=False)) == []
    assert complaints(repeated, whole=False) == []


def test_text_identifiers_repeat_too() -> None:
    names = survey("string", lower=None, upper=None)
    assert complaints(["2M01", "2M02", "3e5"], names) == []
    only(complaints(["2M01", "2M02", "2M01"], names), "1 rows repeat", "2M01")
    only(complaints([None, ""], names), "all identifiers are missing")


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        ([1, 0], "0"),
        ([1, -5], "-5"),
        ([1, LARGEST + 1], str(LARGEST + 1)),
        (["1", "0"], "0"),
        ([1.0, -3.0], "-3"),
        (pl.Series([1, 2**63 + 5], dtype=pl.UInt64), str(2**63 + 5)),
    ],
    ids=["zero", "negative", "large", "text", "float", "uint64"],
)
def test_identifiers_of_another_catalogue_are_refused(ids: Any, first: str) -> None:
    only(
        complaints(ids),
        "1 of 2 identifiers lie outside the range of plain",
        f"(first: {first})",
        f"1 to {LARGEST}",
    )


def test_open_ranges() -> None:
    assert complaints([-5, 2**62 + 1], survey(lower=None, upper=None)) == []
    only(complaints([-5, 3], survey(upper=None)), "1 to ...")
    only(complaints([-5, 30], survey(lower=None, upper=10)), "... to 10")


@pytest.mark.parametrize(
    "nothing",
    [pl.Series([None, None], dtype=pl.Int64), pl.Series([float("nan"), None]), pl.Series(["", None, "  "])],
    ids=["int", "float", "text"],
)
def test_a_column_without_any_identifier_is_refused(nothing: pl.Series) -> None:
    only(complaints(nothing), "all identifiers are missing")


def test_missing_identifiers() -> None:
    assert missing_identifiers(pl.Series([1, 2]), "here") == []
    (problem,) = missing_identifiers(pl.Series([1, None, None]), "here")
    assert "2 of 3 identifiers are missing" in problem.found


def test_several_problems_at_once() -> None:
    found = complaints([*(WHOLE[:5] // 1000 * 1000).tolist(), -4, -4])
    assert [any(word in text for text in found) for word in ("outside", "end in 3 zeros", "repeat")] == [True] * 3


@pytest.mark.shared
def test_real_identifiers(shared: Path) -> None:
    """A file with identifiers in scientific notation is refused; files from the archive pass."""
    damaged = pl.read_csv(shared / "real" / "damaged_gaia_ids.csv", infer_schema_length=None)
    gaia = load_survey("gaia_dr3")
    column = next(name for name in damaged.columns if "source_id" in name.lower())
    for ids in (damaged[column], damaged[column].cast(pl.String)):
        assert any("last digits" in p.found for p in identifier_problems(ids, gaia, "here", whole=False))
    whole = pl.read_csv(shared / "real" / "gaia_open_cluster_fields.csv", infer_schema_length=None)["source_id"]
    assert identifier_problems(whole, gaia, "here", whole=False) == []
    m67 = pl.read_parquet(shared / "real" / "m67" / "gaia_dr2.parquet", columns=["source_id"])["source_id"]
    assert identifier_problems(m67, load_survey("gaia_dr2"), "here") == []
    mock = pl.read_parquet(shared / "mock" / "gaia_source.parquet", columns=["source_id"])["source_id"]
    assert identifier_problems(mock, gaia, "here", whole=False) == []
