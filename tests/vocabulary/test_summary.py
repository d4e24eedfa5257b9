"""Large objects are shown by their key figures, in few lines, and texts of files stay text in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import starscale as ss
from starscale.pipeline.comparing import Comparison
from starscale.pipeline.pipeline import RunResult
from starscale.tables.cuts import Attrition, AttritionRow
from starscale.vocabulary.summary import Figures, Summarised


class Shown(Summarised):
    def __init__(self, title: str, rows: list[tuple[str, object]]) -> None:
        self.title, self.rows = title, rows

    def _key_figures(self) -> Figures:
        return self.title, self.rows


class Reader(HTMLParser):
    """What a page holds: its elements and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@given(st.text(), st.lists(st.tuples(st.text(), st.text() | st.integers()), max_size=30))
def test_a_summary_is_short_and_its_texts_stay_texts(title: str, rows: list[tuple[str, object]]) -> None:
    shown = Shown(title, rows)
    assert len(repr(shown).split("\n")) <= 15
    assert max(map(len, repr(shown).split("\n"))) < 190
    page = Reader(shown._repr_html_())
    assert page.elements <= {"table", "caption", "b", "tbody", "tr", "th", "td"}


def test_markup_in_a_name_is_shown() -> None:
    name = '<script>alert("1")</script>&amp;'
    cuts = Attrition(1234, (AttritionRow(name, "x < 1", "", "", 4, 4, 1230),))
    page = cuts._repr_html_()
    assert "<script" not in page
    assert name in Reader(page).text
    assert "removes 4, leaves 1,230" in page
    assert str(cuts).split("\n")[0] == "Attrition: 1,234 rows, of which all cuts leave 1,230 (99.7 %)"


@pytest.mark.parametrize("name", ss.survey_names())
def test_every_survey(name: str) -> None:
    survey = ss.load_survey(name)
    lines = repr(survey).split("\n")
    assert len(lines) <= 8
    assert f"Survey {name}: {survey.title} ({survey.kind})".startswith(lines[0].removesuffix("..."))


def test_a_model() -> None:
    packaged = ss.load(ss.list_models().filter(pl.col("here"))["name"][0])
    text = repr(packaged)
    assert len(text.split("\n")) <= 15
    assert len(text) < 1600
    for label in packaged.labels:
        assert label in text


def test_a_run_and_a_comparison(tmp_path: Path) -> None:
    row = {"label": "teff", "by": "all", "mad": 93.11}
    metrics = {"title": "a & b", "mock": True, "split": {"train": 3770}, "test": [row, row | {"by": "teff"}]}
    run = RunResult(tmp_path, metrics | {"compare": [{"name": "truth", "stars": 26830}]})
    text = repr(run)
    assert text.startswith("RunResult (MOCK stars)")
    for words in ("3,770 train", "MAD 93 K", "26,830 stars", "a & b", "report.html"):
        assert words in text
    assert text.count("MAD") == 1
    assert "a &amp; b" in run._repr_html_()
    assert repr(RunResult(tmp_path, {"title": None})).startswith("RunResult\n")
    rows = [
        {"model": name, "label": "fe_h", "by": "all", "mad": mad, "mad_ratio": ratio}
        for name, mad, ratio in (("model", 0.1, None), ("ridge", 0.2, 2.0))
    ]
    found = Comparison(pl.DataFrame(rows), pl.DataFrame(), "model", ("fe_h",), mock=False)
    assert repr(found).split("\n")[1:] == ["  model  fe_h 0.1", "  ridge  fe_h 0.2 (2.000)"]
