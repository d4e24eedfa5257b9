"""Thresholds and priors as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from starscale.model.asked import Asked, LabelPrior, asked, asked_again
from starscale.vocabulary.errors import InputError

LABELS = ("teff", "fe_h")


def test_thresholds_name_their_columns() -> None:
    assert Asked().columns(LABELS) == ["p_fe_h_below_m1", "p_fe_h_below_m2", "p_fe_h_below_m3"]
    wanted = asked(LABELS, {"fe_h": [-2.5, -2, -2.5], "teff": [5000]})
    assert wanted.columns(LABELS) == ["p_teff_below_5000", "p_fe_h_below_m2p5", "p_fe_h_below_m2"]
    assert [(item.label, item.value) for item in wanted.thresholds(LABELS)] == [(0, 5000), (1, -2.5), (1, -2)]
    assert asked(LABELS, {}).columns(LABELS) == []
    assert Asked().document() == {}
    assert wanted.document() == {"below": {"fe_h": [-2.5, -2.0], "teff": [5000.0]}}


def test_priors_for_all_labels_or_for_one(tmp_path: Path) -> None:
    table = pl.DataFrame({"fe_h": [0.0, -3.0, -1.0], "density": [1.0, 0.0, 2.0]})
    table.write_csv(tmp_path / "prior.csv")
    given = LabelPrior((-3.0, -1.0, 0.0), (0.0, 2.0, 1.0))
    assert asked(LABELS, prior="training").prior == {}
    assert asked(LABELS, prior="flat").prior == {"teff": LabelPrior(), "fe_h": LabelPrior()}
    assert asked(LABELS, prior={"fe_h": "flat", "teff": "training"}).prior == {"fe_h": LabelPrior()}
    for prior in (table, str(tmp_path / "prior.csv"), {"fe_h": table}, {"fe_h": tmp_path / "prior.csv"}):
        assert asked(LABELS, prior=prior).prior == {"fe_h": given}
    document = asked(LABELS, prior={"teff": "flat", "fe_h": table}).document()
    assert document == {
        "prior": {"teff": "flat", "fe_h": {"value": [-3.0, -1.0, 0.0], "density": [0.0, 2.0, 1.0]}}
    }


@pytest.mark.parametrize(
    ("below", "prior", "words"),
    [
        ({"feh": [-2]}, "training", "below: 'feh' is no label|below: feh: .*Did you mean 'fe_h'"),
        ({"fe_h": [-99], "teff": ["x"]}, "training", r"2 problems:(.|\n)*-99(.|\n)*a list of numbers"),
        ({"fe_h": range(-2, 30)}, "training", "between -8 and 2 dex"),
        (None, "flatt", "no such table.*Did you mean 'flat'"),
        (None, {"fe": "flat"}, "'fe' is no label of the model"),
        (None, pl.DataFrame({"density": [1.0]}), "expected one of teff, fe_h, and 'density'"),
        (None, {"fe_h": pl.DataFrame({"fe_h": [1.0, 2.0]})}, "has no column 'density'"),
        (None, pl.DataFrame({"fe_h": [1.0, 1.0], "density": [1.0, 1.0]}), "two or more different, finite values"),
        (None, pl.DataFrame({"fe_h": [0.0, 1.0], "density": [1.0, -1.0]}), "missing, negative or"),
        (None, pl.DataFrame({"fe_h": [0.0, 1.0], "density": [0.0, None]}), "missing, negative or"),
        (None, pl.DataFrame({"fe_h": [0.0, 1.0], "density": [0.0, 0.0]}), "missing, negative or"),
    ],
)
def test_what_makes_no_sense_is_refused(below: Any, prior: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        asked(LABELS, below, prior)


@pytest.mark.parametrize("below", [None, {}, {"fe_h": [-2.5], "teff": [5000, 6000]}])
@pytest.mark.parametrize(
    "prior",
    ["training", "flat", {"fe_h": pl.DataFrame({"fe_h": [-3.0, -1.0, 0.5], "density": [1.0, 0.0, 2.0]})}],
)
@pytest.mark.parametrize("slopes", [True, False])
def test_what_was_asked_is_restored_from_its_document(below: Any, prior: Any, slopes: bool) -> None:
    wanted = asked(LABELS, below, prior, slopes=slopes)
    assert wanted.document() == wanted.values() | ({} if slopes else {"slopes": False})
    assert asked_again(LABELS, json.loads(json.dumps(wanted.document()))) == wanted


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"below": [1]},
        {"prior": 3},
        {"prior": {"fe_h": {"value": [1.0]}}},
        {"prior": {"fe_h": 3}},
        {"slopes": "no"},
        {"slopes": None},
    ],
)
def test_a_damaged_document_is_refused(document: Any) -> None:
    with pytest.raises(InputError):
        asked_again(LABELS, document)
