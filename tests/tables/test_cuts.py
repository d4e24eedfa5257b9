"""Cuts: rows that pass, counts, and refused predicates."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.surveys.schema import Cut
from starscale.tables.cuts import Attrition, AttritionRow, apply_cuts, choose_cuts, cut_columns
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut

TABLE = pl.DataFrame(
    {
        "g": [15.0, 19.0, None, 17.0, 16.0, None],
        "ruwe": [1.0, 1.0, 1.0, 2.0, None, 3.0],
        "kind": ["STAR", "STAR", "QSO", None, "STAR", "QSO"],
        "binary": [False, True, False, None, False, True],
    }
)
BRIGHT = Cut(name="bright", keep="g <= 18", description="not faint", source="us")
SINGLE = Cut(name="single", keep="ruwe <= 1.4")
LENIENT = Cut(name="lenient", keep="g IS NULL\n OR g <= 18")
NOT_BINARY = Cut(name="not_binary", keep="NOT binary")


def kept(*predicates: str) -> list[int]:
    cuts = [Cut(name=f"c{i}", keep=keep) for i, keep in enumerate(predicates)]
    return apply_cuts(TABLE, cuts)[0].arg_true().to_list()


def refused(*cuts: Cut, table: pl.DataFrame = TABLE) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        apply_cuts(table, cuts, where="stars.csv")
    return tuple(str(problem) for problem in caught.value.problems)


def test_a_missing_value_removes_the_row_unless_the_cut_says_otherwise() -> None:
    assert kept("g <= 18") == [0, 3, 4]
    assert kept("g IS NULL OR g <= 18") == [0, 2, 3, 4, 5]
    assert kept("kind <> 'QSO'") == [0, 1, 4]
    assert kept("NOT binary") == [0, 2, 4]
    assert kept("binary IS NULL OR NOT binary") == [0, 2, 3, 4]
    assert kept("NOT (g > 18)") == [0, 3, 4]
    assert kept("kind IN ('QSO')") == [2, 5]
    assert kept("g BETWEEN 15 AND 16") == [0, 4]


def test_the_summary_states_rows_and_their_share() -> None:
    text = repr(apply_cuts(TABLE, [BRIGHT, SINGLE])[1])
    assert "6 rows, of which all cuts leave 1 (16.7 %)" in text
    assert "removes 3, leaves 3" in text
    assert "removes 2, leaves 1" in text
    assert "all cuts leave 3 (50.0 %)" in repr(apply_cuts(TABLE, [BRIGHT])[1])
    nothing = apply_cuts(TABLE.clear(), [BRIGHT])[1]
    assert "0 rows, of which all cuts leave 0" in repr(nothing)
    assert "%" not in repr(nothing)
    with pytest.raises(ValueError, match="different cuts"):
        nothing + apply_cuts(TABLE, [SINGLE])[1]


def test_cuts_of_labels_remove_no_row() -> None:
    of_stars = AttritionRow("good", "x", "", "", 1, 1, 4)
    attrition = Attrition(5, (of_stars, AttritionRow("labelled", "y", "", "", 2, 2, 2, "labels")))
    assert attrition.n_out == 4
    assert attrition.account(4) == RowAccount(5, 4, {"good": 1})


def test_predicates_without_columns() -> None:
    assert kept("TRUE") == [0, 1, 2, 3, 4, 5]
    assert kept("FALSE") == kept("NULL") == []
    assert apply_cuts(TABLE.clear(), [Cut(name="all", keep="TRUE")])[0].to_list() == []


def test_attrition_by_hand() -> None:
    mask, attrition = apply_cuts(TABLE, [BRIGHT, SINGLE, NOT_BINARY])
    assert mask.to_list() == [True, False, False, False, False, False]
    assert mask.name == "keep"
    assert attrition.n_in == 6
    assert attrition.n_out == 1
    assert [(r.alone, r.in_sequence, r.remaining) for r in attrition.rows] == [(3, 3, 3), (3, 2, 1), (3, 0, 1)]
    assert (attrition.rows[0].description, attrition.rows[0].source) == ("not faint", "us")
    assert attrition.frame().rows()[1] == ("single", "ruwe <= 1.4", 3, 2, 1)


def test_no_cuts_keep_everything() -> None:
    mask, attrition = apply_cuts(TABLE, [])
    assert mask.all()
    assert (attrition.n_in, attrition.n_out, attrition.frame().height) == (6, 6, 0)
    assert attrition.frame().schema["remaining"] == pl.Int64


def test_a_table_without_rows() -> None:
    mask, attrition = apply_cuts(TABLE.clear(), [BRIGHT, SINGLE])
    assert len(mask) == 0
    assert mask.dtype == pl.Boolean
    assert attrition.n_out == 0


value = st.one_of(st.none(), st.sampled_from([10.0, 18.0, 18.5]))
many = st.lists(st.tuples(value, value), max_size=25).map(
    lambda rows: pl.DataFrame(rows, schema={"g": pl.Float64, "ruwe": pl.Float64}, orient="row")
)
THREE = [BRIGHT, LENIENT, Cut(name="small", keep="ruwe < 18.2 OR g < 11")]


@settings(max_examples=50, deadline=None)
@given(many, st.permutations(THREE), st.lists(st.integers(0, 25), max_size=4))
def test_counts_add_up_in_any_order_and_in_any_chunks(
    table: pl.DataFrame, cuts: list[Cut], edges: list[int]
) -> None:
    mask, whole = apply_cuts(table, cuts)
    assert mask.equals(apply_cuts(table, THREE)[0])
    assert whole.n_in - sum(r.in_sequence for r in whole.rows) == whole.n_out == mask.sum()
    left = whole.n_in
    for row, cut in zip(whole.rows, cuts, strict=True):
        assert row.alone == table.height - apply_cuts(table, [cut])[1].n_out >= row.in_sequence
        left -= row.in_sequence
        assert row.remaining == left
    bounds = sorted({0, table.height, *(e for e in edges if e < table.height)})
    parts = [apply_cuts(table[a:b], cuts) for a, b in zip(bounds, bounds[1:] or bounds, strict=False)]
    assert pl.concat([m for m, _ in parts]).equals(mask)
    total = parts[0][1]
    for _, attrition in parts[1:]:
        total = total + attrition
    assert total == whole


def test_attritions_of_different_cuts_do_not_add_up() -> None:
    one, other = apply_cuts(TABLE, [BRIGHT])[1], apply_cuts(TABLE, [SINGLE])[1]
    with pytest.raises(ValueError, match="cannot be added"):
        one + other


def test_attrition_survives_json() -> None:
    attrition = apply_cuts(TABLE, [BRIGHT, SINGLE])[1]
    assert Attrition.from_dict(json.loads(json.dumps(asdict(attrition)))) == attrition


def test_an_unknown_column() -> None:
    (text,) = refused(Cut(name="single", keep="rwe <= 1.4"))
    assert "stars.csv: column 'rwe': is missing, but needed by" in text
    assert "needed by the cut 'single' (rwe <= 1.4)" in text
    assert "Did you mean 'ruwe'?" in text
    (text,) = refused(Cut(name="far", keep="zzz < 1"))
    assert "--without far" in text


@pytest.mark.parametrize(
    "keep", ["", "g <", "DROP TABLE stars", "g < 1; g > 2", "g > 2 word", "read_csv('/etc/passwd') > 1", "*"]
)
def test_what_is_not_sql(keep: str) -> None:
    (text,) = refused(Cut(name="odd", keep=keep))
    assert "cut 'odd'" in text
    assert "is not an SQL predicate" in text
    with pytest.raises(InputError, match="is not an SQL predicate"):
        cut_columns(Cut(name="odd", keep=keep), "here")


@pytest.mark.parametrize("keep", ["g", "g + 1", "'yes'", "kind"])
def test_what_is_neither_yes_nor_no(keep: str) -> None:
    (text,) = refused(Cut(name="odd", keep=keep))
    assert "expected a predicate, true or false" in text


def test_what_cannot_be_evaluated() -> None:
    (text,) = refused(Cut(name="odd", keep="kind > 5"))
    assert "'kind > 5' cannot be evaluated" in text
    assert "\n" not in text


def test_all_problems_at_once() -> None:
    bad = [
        Cut(name="a", keep="rwe < 1 AND gg > 2"),
        Cut(name="b", keep="g <"),
        BRIGHT,
        Cut(name="c", keep="nil > 1"),
    ]
    found = refused(*bad)
    assert [any(word in text for text in found) for word in ("'rwe'", "'gg'", "'g <'", "'nil'")] == [True] * 4
    assert len(found) == 4
    assert len(refused(Cut(name="a", keep="g"), Cut(name="b", keep="kind > 5"))) == 2


def test_columns_of_a_cut() -> None:
    assert cut_columns(Cut(name="x", keep="g > ruwe OR g IS NULL"), "here") == ["g", "ruwe"]
    assert cut_columns(Cut(name="x", keep="TRUE"), "here") == []


def test_choosing_cuts() -> None:
    own = ExtraCut(name="mine", keep="g > 3")
    chosen = choose_cuts([BRIGHT, SINGLE], Cuts(without=("bright",), extra=(own,)), "run")
    assert [(c.name, c.keep) for c in chosen] == [("single", "ruwe <= 1.4"), ("mine", "g > 3")]
    assert chosen[1].source == "run file"
    assert [c.name for c in choose_cuts([BRIGHT, SINGLE], Cuts(), "run")] == ["bright", "single"]
    assert [c.name for c in choose_cuts([BRIGHT, SINGLE], Cuts(apply=False, extra=(own,)), "run")] == ["mine"]


def test_leaving_out_a_cut_that_does_not_exist() -> None:
    with pytest.raises(InputError) as caught:
        choose_cuts([BRIGHT, SINGLE], Cuts(without=("brigth", "x")), "run.toml")
    first, second = (str(problem) for problem in caught.value.problems)
    assert (
        first == "run.toml: cuts.without: no cut 'brigth'; expected one of bright, single. Did you mean 'bright'?"
    )
    assert "'x'" in second


def test_the_table_is_not_modified() -> None:
    copy = TABLE.clone()
    apply_cuts(TABLE, [BRIGHT, LENIENT])
    assert copy.equals(TABLE)


def test_counts_of_random_rows_against_numpy() -> None:
    rng = np.random.default_rng(0)
    g, ruwe = rng.normal(18, 1, 5000), rng.normal(1.4, 0.2, 5000)
    _, attrition = apply_cuts(pl.DataFrame({"g": g, "ruwe": ruwe}), [BRIGHT, SINGLE])
    assert [r.alone for r in attrition.rows] == [(g > 18).sum(), (ruwe > 1.4).sum()]
    assert attrition.n_out == ((g <= 18) & (ruwe <= 1.4)).sum()


def test_a_column_with_a_similar_name_does_not_hide_the_way_out() -> None:
    cut = Cut(name="psf", keep="flags_psf = 0")
    with pytest.raises(InputError, match=r"Did you mean 'flags'\? Leave the cut out with --without psf"):
        apply_cuts(pl.DataFrame({"flags": [0]}), [cut])
