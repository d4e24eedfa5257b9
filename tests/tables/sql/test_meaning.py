"""What SQL expressions mean: the cases that were wrong once, and each operator by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from starscale.features.families import Feature
from starscale.features.features import evaluate_features
from starscale.surveys.schema import Cut
from starscale.tables.cuts import apply_cuts
from starscale.tables.sql import row_expression
from starscale.vocabulary.errors import InputError

NAN, INF = float("nan"), float("inf")
TABLE = pl.DataFrame(
    {
        "g": [10.0, 11.0, 12.0, 13.0],
        "parallax": [10.0, -0.5, 0.1, 0.0],
        "n_obs": pl.Series([350, 1, 0, None], dtype=pl.Int16),
        "ngood": pl.Series([40_000, 1, 0, None], dtype=pl.Int32),
        "n_good": pl.Series([3, 1, 0, None], dtype=pl.UInt8),
        "n_bad": pl.Series([5, 1, 0, None], dtype=pl.UInt8),
        "flag": [True, False, None, None],
        "t": ["abcd", "b_d", None, "D"],
        "id": [2**62 + 1, 5, None, -7],
        "u": pl.Series([2**64 - 1, 3, None, 0], dtype=pl.UInt64),
        "f": pl.Series([0.1, 15.2, NAN, None], dtype=pl.Float32),
        "d": [0.1, NAN, INF, None],
    }
)


def value(text: str, table: pl.DataFrame = TABLE) -> list[object]:
    return row_expression(text, "here").on(table).to_list()


def kept(text: str) -> list[int]:
    return apply_cuts(TABLE, [Cut(name="cut", keep=text)])[0].arg_true().to_list()


def test_a_mask_is_made_of_conditions_alone() -> None:
    assert row_expression("d > 0", "here").mask(TABLE).to_list() == [True, False, False, False]
    assert row_expression("NULL", "here").mask(TABLE).to_list() == [False] * 4
    with pytest.raises(InputError, match="compare 'x': where: 'g \\+ 1' is a number; expected a predicate"):
        row_expression("g + 1", "compare 'x': where").mask(TABLE)


# ---- the cases of the report ---------------------------------------------------------------------------


def test_what_is_not_defined_is_missing() -> None:
    assert kept("g + 5*LOG10(parallax) - 10 > 4") == [0]
    assert kept("NOT (g + 5*LOG10(parallax) - 10 > 4)") == [2]
    assert kept("g + 5*LOG10(parallax) IS NULL") == [1, 3]
    assert value("LN(parallax) > -100 OR SQRT(parallax) > -1") == [True, None, True, True]


@pytest.mark.parametrize(
    "text",
    [
        *("LOG10(0)", "LN(-1)", "LOG2(0)", "LOG1P(-1)", "SQRT(-1)", "POWER(0, -1)", "POWER(-8, 0.5)", "EXP(1000)"),
        *(
            "1 / 0",
            "0 / 0",
            "1.0 / 0",
            "1e308 * 10",
            "-1e308 - 1e308",
            "5 % 0",
            "5.5 % 0",
            "MOD(5, 0)",
            "DIV(5, 0)",
        ),
        *(
            "ASIN(2)",
            "ACOS(-2)",
            "ATANH(1)",
            "ACOSH(0)",
            "COT(0)",
            "NULL + 1",
            "NULL",
            "1 = NULL",
            "NULL AND TRUE",
        ),
        *("CAST('x' AS INT)", "CAST(40000 AS SMALLINT)", "CAST(1e30 AS BIGINT)", "CAST('nan' AS DOUBLE)"),
    ],
)
def test_results_that_are_no_numbers_are_missing(text: str) -> None:
    assert value(text) == [None] * 4
    # The same of columns, which are not computed beforehand.
    assert value(f"CASE WHEN g > 0 THEN {text} END") == [None] * 4


def test_whole_numbers_do_not_wrap_around() -> None:
    assert kept("n_obs * 100 > 0") == [0, 1]
    assert kept("ngood * 40000 > 0") == [0, 1]
    assert value("n_good - n_bad") == [-2, 0, 0, None]
    assert kept("n_good - n_bad > 0") == []
    assert value("id * id") == [(2**62 + 1) ** 2, 25, None, 49]
    assert value("u + id") == [2**64 + 2**62, 8, None, -7]
    assert value("-u") == [1 - 2**64, -3, None, 0]
    assert value("ABS(id - 1)") == [2**62, 4, None, 8]
    # Above 128 bits numbers are doubles.
    assert value("id * id * id * id") == [pytest.approx(2.0**248), 625.0, None, 2401.0]
    assert value("(id * id * id * id) * (id * id * id * id) * id * 1e250") == [
        None,
        5.0**9 * 1e250,
        None,
        -(7.0**9) * 1e250,
    ]


def test_whole_numbers_compare_exactly() -> None:
    assert value(f"id = {2**62 + 1}") == [True, False, None, False]
    assert value(f"id = {2**62}.0") == [False, False, None, False]
    assert value("id > 4.6e18") == [True, False, None, False]
    assert value("u > id") == [True, False, None, True]
    assert value(f"u IN ({2**64 - 1}, 7)") == [True, False, None, False]
    assert value("n_obs IN (40000, 350.0, 0.5)") == [True, False, False, None]
    assert value("n_obs < 40000 AND n_obs >= -40000.5") == [True, True, True, None]


def test_constants_with_a_point_are_doubles() -> None:
    assert value("g * (1.0 / 3600000)") == [g * (1.0 / 3600000) for g in (10.0, 11.0, 12.0, 13.0)]
    assert value("0.1 + 0.2") == [0.1 + 0.2] * 4
    assert value("POWER(10, -2)") == [0.01] * 4
    assert value("1.0 * n_bad / n_obs < 0.1") == [True, False, None, None]


def test_slash_divides_real_numbers_and_div_whole_ones() -> None:
    assert value("n_obs / 4") == [87.5, 0.25, 0.0, None]
    assert value("DIV(id, 2)") == [2**61, 2, None, -3]
    assert value("id % 2") == [1, 1, None, -1]
    assert value("MOD(g - 15, 2)") == [-1.0, 0.0, -1.0, 0.0]


def test_a_quotient_is_the_same_in_a_table_of_one_row() -> None:
    table = pl.DataFrame({"n": [1, 2, 3], "x": [3.0, None, 0.7]})
    assert value("n / 2.5", table) == [0.4, 0.8, 1.2]
    assert value("x / 1000", table) == [3 / 1000, None, 0.7 / 1000]
    assert value("n / 2.5", table[2:]) == value("n / 2.5", table)[2:]


def test_three_valued_logic() -> None:
    assert kept("flag IS NOT TRUE") == [1, 2, 3]
    assert kept("flag IS TRUE") == [0]
    assert kept("flag IS NOT FALSE") == [0, 2, 3]
    assert kept("flag IS UNKNOWN") == [2, 3]
    assert kept("NOT flag") == [1]
    assert value("flag AND NULL") == [None, False, None, None]
    assert value("flag OR NULL") == [True, None, None, None]
    assert value("n_obs IN (1, NULL)") == [None, True, None, None]
    assert value("n_obs NOT IN (1, NULL)") == [None, False, None, None]
    assert value("n_obs BETWEEN 1 AND NULL") == [None, None, False, None]
    assert value("flag IS DISTINCT FROM TRUE") == [False, True, True, True]
    assert value("g > 11 IS NOT TRUE") == [True, True, False, False]


def test_nan_and_infinity_of_a_column_are_missing() -> None:
    assert value("d > 0") == value("d < 1") == [True, None, None, None]
    assert value("d IS NULL") == value("f IS NULL OR d IS NULL") == [False, True, True, True]
    assert value("COALESCE(d, -1.0)") == [0.1, -1.0, -1.0, -1.0]
    assert value("1 / d") == [10.0, None, None, None]
    assert value("EXP(-d) > 0") == value("ATAN(d) > 0") == value("d IN (0.1)") == [True, None, None, None]
    assert value("GREATEST(d, 0.0)") == [0.1, 0.0, 0.0, 0.0]
    assert value("f > 1") == [False, True, None, None]


def test_decimals_are_rounded_to_the_precision_of_a_column() -> None:
    assert value("f = 0.1") == value("f IN (0.1)") == value("f BETWEEN 0.1 AND 0.1") == [True, False, None, None]
    assert value("f <= 15.2") == [True, True, None, None]
    assert value("f > 1e-60 AND f < 1e60") == [True, True, None, None]
    assert value("f > 16777217") == [False, False, None, None]
    # A float32 number is not the same double.
    assert value("f = d") == [False, None, None, None]
    assert value("f + 0.0 = 0.1") == [False, False, None, None]


def test_products_beyond_128_bits_on_one_side_are_doubles() -> None:
    largest = pytest.approx(float((2**64 - 1) ** 3), rel=1e-12)
    assert value("u * u * u") == [largest, 27.0, None, 0.0]
    assert [None if x is None else -x for x in value("(0 - u) * u * u")] == [largest, 27.0, None, 0.0]


@pytest.mark.parametrize("n", [63, 64, 65, 200])
def test_long_sums_and_products_are_those_of_short_ones(n: int) -> None:
    """Longer ones are halved; what is divided one after another is not, and ends there."""
    table = pl.DataFrame({"x": [3, -2], "y": [1.01, 0.98]})
    signs = [("+", "-", "-")[k % 3] for k in range(n)]
    text = "x" + "".join(f" {sign} {k} * x" for k, sign in enumerate(signs))
    factor = 1 + sum(k if sign == "+" else -k for k, sign in enumerate(signs))
    assert value(text, table) == [3 * factor, -2 * factor]
    product = value("y" + " * y" * n, table)
    assert product == pytest.approx([1.01 ** (n + 1), 0.98 ** (n + 1)])
    if n < 64:
        assert value("y" + " / y" * n, table) == pytest.approx([1.01 ** (1 - n), 0.98 ** (1 - n)])
    else:
        with pytest.raises(InputError, match="more than 64 numbers divided"):
            value("y" + " / y" * n, table)


def test_constants_that_single_precision_does_not_hold_are_compared_as_they_are() -> None:
    """16777217 and 1e-60 would become 16777216 and 0."""
    single = pl.DataFrame({"x": pl.Series([0.0, 2.0**24, 2.0**25], dtype=pl.Float32)})
    for constant, below in (("1e-60", 1), ("16777216", 1), ("16777217", 2), ("1e39", 3)):
        found = [number < float(constant) for number in (0, 2**24, 2**25)]
        assert value(f"x < {constant}", single) == found == [True] * below + [False] * (3 - below)
        equal = [number == float(constant) for number in (0, 2**24, 2**25)]
        assert value(f"x = {constant}", single) == equal
    assert value("x = 0.0", single) == [True, False, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LOG10(1000)", 3.0),
        ("LOG2(536870912)", 29.0),
        ("ROUND(2.5)", 3.0),
        ("ROUND(-2.5)", -3.0),
        ("ROUND(1234.567, 2)", 1234.57),
        ("ROUND(1234.567, -2)", 1200.0),
        ("ROUND(1234, -2)", 1200.0),
        ("TRUNCATE(-2.7)", -2.0),
        ("TRUNC(2.789, 2)", 2.78),
        ("FLOOR(-2.5)", -3.0),
        ("CEILING(-2.5)", -2.0),
        ("SIGN(-2.5)", -1),
        ("ATAN2(1, 0)", math.pi / 2),
        ("DEGREES(PI())", 180.0),
        ("RADIANS(180)", math.pi),
        ("CBRT(27)", 3.0),
        ("POWER(2, 0.5)", 2**0.5),
        ("CAST(-2.7 AS INT)", -2),
        ("CAST(' 12 ' AS BIGINT)", 12),
        ("CAST('1e3' AS DOUBLE)", 1000.0),
        ("CAST('yes' AS BOOLEAN)", True),
        ("CAST(TRUE AS INT)", 1),
        ("CAST(2.5 AS VARCHAR)", "2.5"),
        ("CAST('abcd' AS VARCHAR(3))", "abc"),
        ("SUBSTRING('abcdef', 0, 3)", "ab"),
        ("SUBSTR('abcdef', 3)", "cdef"),
        ("LEFT('abc', 2) || RIGHT('abc', 1)", "abc"),
        ("'a' || NULL", None),
        ("CONCAT('a', NULL, 1)", "a1"),
        ("REPLACE('a.b', '.', '-')", "a-b"),
        ("TRIM('  a ')", "a"),
        ("UPPER('a') || LOWER('B')", "Ab"),
        ("LENGTH('Ä')", 1),
        ("STARTS_WITH('abc', 'ab')", True),
        ("NULLIF(1, 1)", None),
        ("SIGN(NULL)", None),
        ("LEAST(3, NULL, 2)", 2),
        ("BITWISE_OR(4, 1)", 5),
        ("BITWISE_XOR(6, 3)", 5),
        ("~5", -6),
        ("6 & 3", 2),
        ("- - 2 * +3", 6),
        ("2 + 3 * 4 - 6 / 2", 11.0),
        ("CASE WHEN 1 > 2 THEN 'x' WHEN NULL THEN 'y' ELSE 'z' END", "z"),
        ("'it''s'", "it's"),
        ("1 /* one */ + 2 -- three", 3),
    ],
)
def test_constants_are_computed(text: str, expected: object) -> None:
    assert value(text) == [expected] * 4
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        assert evaluate_features(TABLE, [Feature("x", text)]).tolist() == [[float(expected)]] * 4


def test_texts() -> None:
    assert value("t LIKE 'a%'") == [True, False, None, False]
    assert value("t LIKE '_!_d' ESCAPE '!'") == [False, True, None, False]
    assert value("t NOT LIKE '%d'") == [False, False, None, True]
    assert value("t ILIKE '%D'") == [True, True, None, True]
    assert value("t LIKE '.*'") == value("t LIKE ''") == [False, False, None, False]
    assert value("CAST(t AS VARCHAR(3)) = 'abc'") == [True, False, None, False]
    assert value("t IN ('D', 'x') OR t < 'abd'") == [True, False, None, True]
    assert value("CASE t WHEN 'D' THEN 1 WHEN 'b_d' THEN 2 END") == [None, 2, None, 1]
    assert value("t LIKE 'a'", pl.DataFrame({"t": ["a\n", "a", "a\nb"]})) == [False, True, False]
    assert value("t LIKE 'a_b'", pl.DataFrame({"t": ["a\nb", "aéb", "ab"]})) == [True, True, False]


def test_a_condition_counts_as_a_number_but_not_the_reverse() -> None:
    assert value("flag = 1") == value("flag IN (1)") == [True, False, None, None]
    assert value("2 * flag") == [2, 0, None, None]
    with pytest.raises(InputError, match="a condition is needed, and this is a number"):
        value("g AND flag")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("t > 5", 3, "compares a text with a number"),
        ("g = '5'", 3, "compares a text with a number"),
        ("t IN ('a', 5)", 3, "compares a text with a number"),
        ("g + t", 3, "a number is needed, and this is a text"),
        ("NOT g", 1, "a condition is needed"),
        ("flag AND t", 10, "a condition is needed, and this is a text"),
        ("SQRT(t)", 1, "a number is needed"),
        ("UPPER(g)", 1, "a text is needed"),
        ("g & 1", 3, "whole numbers"),
        ("CASE WHEN flag THEN 1 ELSE 'x' END", 1, "CASE mixes a number and a text"),
        ("COALESCE(t, 1)", 1, "COALESCE mixes a number and a text"),
        ("t LIKE t", 3, "the pattern of LIKE is a text in quotes"),
        ("SUBSTRING(t, n_obs)", 1, "whole numbers, not columns"),
        ("day > 5", 5, "IS NULL is possible"),
    ],
)
def test_types_that_do_not_fit(text: str, place: int, reason: str) -> None:
    table = TABLE.with_columns(day=pl.date(2020, 1, 1))
    with pytest.raises(InputError) as caught:
        value(text, table)
    assert f"cannot be evaluated (at character {place}: " in str(caught.value)
    assert reason in str(caught.value)


def test_columns_of_other_types() -> None:
    table = TABLE.with_columns(
        day=pl.date(2020, 1, 1),
        band=pl.Series(["u", "g", None, "u"], dtype=pl.Categorical),
        money=pl.Series(["1.5", "2", None, "0"]).cast(pl.Decimal(10, 2)),
        nothing=pl.lit(None),
    )
    assert value("day IS NULL", table) == [False] * 4
    assert value("band = 'u'", table) == [True, False, None, True]
    assert value("money * 2", table) == [3.0, 4.0, None, 0.0]
    assert value("nothing > 1 OR nothing IS NULL", table) == [True] * 4


def test_features_have_the_values_of_the_library_that_computed_them_before() -> None:
    """The texts of bundles that exist: arithmetic of doubles, logarithms, roots."""
    rng = np.random.default_rng(0)
    table = pl.DataFrame({n: rng.uniform(-1, 20, 500) for n in ("bp_mag", "rp mag", "D", "ebv")})
    texts = [
        '"bp_mag" - "rp mag"',
        '"bp_mag" - 5 * LOG10("D") + 5 - 2.90164 * "ebv"',
        'LOG10(("bp_mag" - "rp mag") / 2 + 0.0001)',
        "bp_mag + 5 * LOG10(SQRT(D * D + ebv * ebv) / 1000) + 5",
        "POWER(bp_mag, 2) * EXP(-ebv) / ABS(D)",
    ]
    found = evaluate_features(table, [Feature(t, t) for t in texts])
    numbers = table.cast(pl.Float64)
    with np.errstate(all="ignore"):
        expected = np.stack([numbers.select(pl.sql_expr(t)).to_series().to_numpy() for t in texts], axis=1)
    expected[~np.isfinite(expected)] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=2e-14)


def test_rows_do_not_depend_on_the_rows_around() -> None:
    text = "CASE WHEN MOD(id, 3) = 1 THEN LOG10(d) ELSE ROUND(f / g, 2) END"
    assert value(text) == [value(text, TABLE[i : i + 1])[0] for i in range(4)]
    assert value(text, TABLE.clear()) == []
    assert value("TRUE", TABLE.clear()) == []
    long = pl.concat([TABLE] * 3, rechunk=False)
    assert value(text, long) == value(text) * 3
    assert value("d > 0 AND f > 0", long[2:7]) == (value("d > 0 AND f > 0") * 3)[2:7]
