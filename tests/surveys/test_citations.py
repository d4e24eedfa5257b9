"""Citations: the packaged BibTeX against the texts and the bibcodes, and `cite`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from starscale.surveys.citations import entries_of, packaged_entries, resolved

_FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.MULTILINE)
_ACCENT = re.compile(r"\{?\\[\"']\{?(\w)\}?\}?")


def fields(entry: str) -> dict[str, str]:
    return dict(_FIELD.findall(entry))


@pytest.mark.parametrize("name", ss.survey_names())
def test_every_paper_of_a_packaged_survey_has_its_entry(name: str) -> None:
    survey = ss.load_survey(name)
    assert survey.citation
    for text, entry in zip(survey.citation, resolved(survey.bibtex).values(), strict=True):
        told = fields(entry)
        if reference := re.search(r"arXiv:([\d.]+)", text):
            assert told["eprint"] == reference[1]
        elif reference := re.search(r" (\d+), (A?e?\d+)\b", text):
            assert (told["volume"], told["pages"]) == (reference[1], reference[2])
        elif reference := re.search(r"doi:(\S+)", text):
            assert told["doi"] == reference[1]
        else:
            assert "Explanatory Supplement" in text
            assert "Explanatory Supplement" in told["title"]
        if "eprint" not in told:
            assert re.search(rf"\b{told['year']}\b", text)
        plain = _ACCENT.sub(r"\1", told["author"]).replace("{", "").replace("}", "").replace("Jonsson", "Joensson")
        assert re.split(r"[ ,&:]", text)[0] in plain


def test_a_key_is_the_bibcode_of_its_paper() -> None:
    for key, entry in packaged_entries().items():
        told = fields(entry)
        if "volume" in told:
            page = re.sub(r"\D", "", told["pages"]).lstrip("0")
            letter = told["author"].replace("{", "")[0]
            assert re.fullmatch(rf"{told['year']}[A-Za-z&]+\.*{told['volume']}[A-Z]?\.*{page}{letter}", key)
        assert set(told) >= {"author", "title", "year"}
        assert told.get("doi", "10.").startswith("10.")


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9&.:_]{1,15}", fullmatch=True),
        st.recursive(
            st.text("ab ,=\n", max_size=9), lambda inner: st.lists(inner).map(lambda x: f"{{{''.join(x)}}}")
        ),
        max_size=5,
    ),
    st.text("ab%{} \n"),
)
@settings(max_examples=30)
def test_entries_are_found_between_comments(values: dict[str, str], comment: str) -> None:
    made = {key: f"@article{{{key}, title = {{{value}}}}}" for key, value in values.items()}
    assert entries_of(comment + f"\n{comment}\n".join(made.values()) + comment) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2019AJ....157..168", r"not the key of a packaged BibTeX entry; Did you mean '2019AJ....157..168D'"),
        ("@article{a, title = {b}", "is not a BibTeX entry"),
        ("@article{title = {b}}", "is not a BibTeX entry"),
        ("@misc{a, title = {b}}@misc{c, title = {d}}", "one BibTeX entry in each text"),
        ("@misc{a, title = {b}}@misc{a, title = {d}}", "two BibTeX entries with the key 'a'"),
    ],
)
def test_wrong_bibtex_is_refused(text: str, message: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "Mine"\nkind = "photometric"\nid = { column = "id" }\n'
        f"bibtex = ['{text}']\n[columns]\nid = {{ dtype = 'int64' }}\n"
    )
    with pytest.raises(ss.InputError, match=message):
        ss.load_survey(path)


def test_cite_a_survey_and_a_model() -> None:
    run = CliRunner().invoke
    shown = run(app, ["survey", "show", "tmass", "--bibtex"]).output
    assert list(entries_of(shown)) == list(ss.load_survey("tmass").bibtex)
    assert run(app, ["cite", "tmass", "--bibtex"]).output == shown
    assert "Skrutskie et al. 2006" in ss.cite("tmass")
    # The packaged bundle is of an earlier build: its surveys have no BibTeX of their own.
    entries = entries_of(ss.cite("segue_colours", bibtex=True))
    program = [key for key in entries if key.startswith(("starscale", "2024arXiv241205047"))]
    assert len(program) == 2
    assert set(entries) - set(program) == {
        *ss.load_survey("sdss_model").bibtex,
        *ss.load_survey("segue").bibtex,
    }
    assert "Metallicity-Approximator" in ss.cite("segue_colours")


def test_cite_nothing_known() -> None:
    with pytest.raises(ss.InputError, match=r"no survey, model or folder of this name.*Did you mean 'galah_dr4'"):
        ss.cite("galah_dr5")
