"""The report of a run: everything is on the page, nothing outside is needed, nothing breaks it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from starscale.plots import style
from starscale.plots.style import png
from starscale.reports import finished, plots
from starscale.reports.catalogue import catalogue_section, sky_address
from starscale.reports.citing import cite
from starscale.reports.colours import colour_magnitude
from starscale.reports.finished import FinishedRun, spread_sample
from starscale.reports.page import report
from starscale.surveys import load_survey
from starscale.surveys.citations import entries_of
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flags import CatalogueFlag, describe
from support.fakes import predictions
from support.report_runs import make_run

TITLES = [
    "Summary",
    "What went in",
    "Cuts",
    "Match",
    "Labels",
    "Accuracy",
    "Uncertainty",
    "Comparisons",
    "The catalogue",
    "Provenance",
]
BANNER = "MOCK DATA: simulated stars; no figure on this page says anything about real ones"
HOSTILE = "<script>alert('x')</script> & \"co\""
VOID = {"meta", "img", "br", "hr", "link", "input"}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is said, not shown: drawing takes the most time."""
    monkeypatch.setattr(style, "png", lambda figure, *, mock=False: b"\x89PNG")
    monkeypatch.setattr(style, "pdf", lambda figure: b"%PDF")


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch, undrawn: None) -> list[Figure]:
    """The figures of a report, not drawn."""
    found: list[Figure] = []
    monkeypatch.setattr(style, "png", lambda figure, *, mock=False: found.append(figure) or b"\x89PNG")
    return found


class Page(HTMLParser):
    """Checks that tags are balanced while it gathers text, tables, links and headings."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.captions: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute of <{tag}> stands twice"
        self.targets += [str(values[a]) for a in ("src", "href", "action", "data", "srcset") if a in values]
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag in ("caption", "figcaption"):
            self.captions.append("")
        if tag == "h2":
            self.titles.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "dd", "caption"):
            self.text += " "
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "caption" in self.open or "figcaption" in self.open:
            self.captions[-1] += data
        if "h2" in self.open:
            self.titles[-1] += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("observed") / "run")


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def mock_html(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = make_run(tmp_path_factory.mktemp("mock") / "run", mock=True, title=HOSTILE, n=800)
    return report(path).read_text(encoding="utf-8")


def test_cite_a_run(folder: Path) -> None:
    entries = entries_of(cite(folder, bibtex=True))
    papers = [
        key for name in ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2") for key in load_survey(name).bibtex
    ]
    assert list(entries)[2:] == papers
    assert "surveys/my_own.toml\n    its survey file is not here any more" in cite(folder)


def test_same_run_gives_same_page_and_nothing_else(folder: Path, html: str, tmp_path: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    output = tmp_path / "page.html"
    assert report(str(folder), output) == output
    assert output.read_text(encoding="utf-8") == html
    assert sorted(p.name for p in folder.iterdir()) == before
    assert "report.html" in before


def test_every_section_is_there_and_in_the_contents(page: Page) -> None:
    assert page.titles == [f"{i} {title}" for i, title in enumerate(TITLES, 1)]
    anchors = [t[1:] for t in page.targets if t.startswith("#")]
    assert len(anchors) == len(TITLES)
    assert set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_nothing_outside_is_needed(html: str, page: Page) -> None:
    inside = ("#", "data:image/png;base64,", "data:application/gzip;base64,", "data:application/pdf;base64,")
    # One link out, which a reader may follow: nothing of it is loaded with the page.
    out = re.findall(r'<a rel="noopener noreferrer" href="(https://[^"]+)">', html)
    assert [t for t in page.targets if not t.startswith(inside)] == [unescape(address) for address in out]
    assert len(out) == 1
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", html.replace(out[0], ""))
    # One script, ours, whose text is in the page.
    assert re.findall(r"<script[^>]*>", html) == ["<script>"]
    assert len(html) < 6_000_000


@pytest.mark.parametrize(("ra", "dec"), [(359.9, 10.0), (120.0, -89.0), (0.0, 0.0)])
def test_the_field_that_a_browser_is_sent_to(ra: float, dec: float) -> None:
    """Around a place, also across the zero of right ascension: centre and width."""
    rng = np.random.default_rng(0)
    turn = 1 / np.cos(np.radians(dec))
    stars = {"ra": (ra + rng.uniform(-1, 1, 4000) * turn) % 360, "dec": dec + rng.uniform(-0.9, 0.9, 4000)}
    place = re.search(r"target=([\d.]+)%20([+-][\d.]+)&fov=([\d.]+)$", sky_address(pl.DataFrame(stars)))
    assert place
    found, north, width = map(float, place.groups())
    assert abs((found - ra + 180) % 360 - 180) / turn < 0.6
    assert north == pytest.approx(dec, abs=0.6)
    assert 2 <= width <= 4


def test_the_densest_region_of_the_whole_sky() -> None:
    rng = np.random.default_rng(0)
    everywhere = {"ra": rng.uniform(0, 360, 3000), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))}
    cluster = {"ra": rng.normal(56.8, 0.2, 500), "dec": rng.normal(24.1, 0.2, 500)}
    stars = pl.concat([pl.DataFrame(everywhere), pl.DataFrame(cluster)])
    ra, dec, width = re.findall(r"[+-]?\d+\.\d+", sky_address(stars).replace("%20", " "))
    assert (float(ra) - 56.8) ** 2 + (float(dec) - 24.1) ** 2 < float(width) ** 2
    assert float(width) == pytest.approx(7.33, abs=0.01)


def test_no_address_without_a_position() -> None:
    assert sky_address(pl.DataFrame({"ra": [None, 3.0], "dec": [1.0, 99.0]})) == ""


def test_pictures_are_pngs_with_a_text(html: str) -> None:
    images = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)" width="\d+"', html)
    assert len(images) == 15
    assert all(base64.b64decode(data, validate=True).startswith(b"\x89PNG") for _, data in images)


def test_every_picture_can_be_saved_as_vectors(html: str) -> None:
    found = re.findall(r'download="figure-(\d+)\.pdf" href="data:application/pdf;base64,([^"]+)"', html)
    assert [int(number) for number, _ in found] == list(range(1, 16))
    for _, data in found:
        document = base64.b64decode(data, validate=True)
        assert document.startswith(b"%PDF-")
        assert document.rstrip().endswith(b"%%EOF")
        # Letters are text in a font of the file.
        assert b"/Subtype /Type3" in document
        assert b"CreationDate" not in document


def test_colours_and_maps_of_the_catalogue(tmp_path: Path, drawings: list[Figure]) -> None:
    path = make_run(tmp_path / "run", n=200)
    catalogue_section(FinishedRun.load(path))
    diagram = next(figure for figure in drawings if figure.axes[0].get_ylabel() == "phot_g_mean_mag (mag)")
    assert [axes.get_ylabel() for axes in diagram.axes[1:]] == [
        "phot_g_mean_mag (mag)",
        "absolute phot_g_mean_mag (mag)",
    ]
    near = pl.read_parquet(path / "matched.parquet").filter(pl.col("parallax") > 1).height
    assert diagram.axes[2].texts[0].get_text().startswith(f"{near} stars")
    titles = {bar.get_ylabel() for figure in drawings for axes in figure.axes for bar in axes.child_axes}
    assert titles >= {"stars per square degree", "mean [Fe/H] (dex)", "with a flag: share of the stars (%)"}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("change", ["none", "rows", "bands", "nulls", "parallax", "no file"])
def test_colours_where_columns_or_stars_differ(tmp_path: Path, change: str) -> None:
    path = make_run(tmp_path / "run", n=20, match=False)
    file, table = path / "matched.parquet", pl.read_parquet(path / "matched.parquet")
    changed = {
        "rows": table.reverse(),
        "bands": table.drop("phot_bp_mean_mag"),
        "nulls": table.with_columns(phot_g_mean_mag=pl.lit(None, pl.Float64)),
        "parallax": table.with_columns(parallax_error=pl.lit(1e9)),
    }
    changed.get(change, table).write_parquet(file)
    if change == "no file":
        file.unlink()
    found = colour_magnitude(FinishedRun.load(path), pl.read_parquet(path / "catalogue.parquet"), "all stars")
    assert (found is not None) == (change in ("none", "rows", "parallax"))
    if found:
        assert ("by mean predicted [Fe/H]" in found.caption) == (change != "rows")
        assert ("absolute" in found.caption) == (change != "parallax")


def test_the_data_of_every_picture_can_be_saved(html: str) -> None:
    found = re.findall(r'download="figure-(\d+)\.csv\.gz" href="data:application/gzip;base64,([^"]+)"', html)
    assert [int(number) for number, _ in found] == list(range(1, 16))
    for _, data in found:
        lines = gzip.decompress(base64.b64decode(data)).decode().splitlines()
        assert lines[0] == "panel,x_axis,y_axis,series,x,y,value"
        assert len(lines) > 2
    places = re.findall(r'data-places="([^"]+)"', html)
    assert len(places) == 5
    for text in places:
        for panel in json.loads(gzip.decompress(base64.b64decode(text))):
            assert panel["rows"]
            assert all(0 <= row[0] <= 10_000 and 0 <= row[1] <= 10_000 for row in panel["rows"])


def test_the_first_screen_answers_four_questions(folder: Path, html: str) -> None:
    first = re.search(r'<dl class="answers">(.*?)</dl>', html, re.DOTALL)
    assert first is not None
    asked = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", first[1])
    assert [question for question, _ in asked] == [
        "How good is it?",
        "For how many stars?",
        "Can I trust it?",
        "What do I cite?",
    ]
    row = next(r for r in json.loads((folder / "metrics.json").read_text())["test"] if r["by"] == "all")
    assert f"{row['mad']:.{LABELS[row['label']].decimals}f}" in asked[0][1]
    assert f"{100 * row['coverage68']:.0f} %" in asked[2][1]
    assert "starscale cite" in asked[3][1]


def test_figures_and_tables_are_numbered_in_order(page: Page) -> None:
    for kind in ("Table", "Figure"):
        found = [int(n) for caption in page.captions for n in re.findall(rf"^{kind} (\d+)\.", caption)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= 9


def test_every_figure_of_merit_is_there(folder: Path, page: Page) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = metrics["test"] + metrics["compare"][0]["figures"]
    assert len(rows) > 100
    for row in rows:
        decimals = LABELS[row["label"]].decimals
        for name in ("mean", "median", "std", "mad", "rmse", "error"):
            number, spread = row[name], row[f"{name}_spread"]
            assert f"{number:.{decimals}f} ± {spread:.{decimals}f}" in page.text
        assert f"{100 * row['coverage68']:.1f} ± {100 * row['coverage68_spread']:.1f}" in page.text


@pytest.mark.parametrize(
    "text",
    [
        # attrition, match, labels, counts
        "123,457 24,691 10,288 88,478",
        "98,765 70,707 70,111 69,001 69,555",
        "median separation of best neighbours (arcsec) 0.141",
        "repeated measurements merged into their star 100",
        "rows without a star in the leading catalogue 321",
        "68,001 67,890 4,321 3,457",
        # cuts on one line, provenance
        "flags = 0 AND x < 1",
        "cdcdcdcd" * 8,
        "0f0f0f0f0f0f",
        "starscale run run.toml",
        "of <this> model",
        "Onken et al. 2019, PASA 36, e033",
        "SkyMapper Southern Survey DR2, master table",
        "numpy " + np.__version__,
        # a survey file that is gone is shown by name, labels without a table of their own
        "labels my_own (in the leading table)",
        "clusters: prediction − clusters, 77 stars in common",
        "nobody: no star in common",
        "INPUT_MISSING 1 one or more inputs of the model are missing",
        "clusters: errors by the reference's teff",
        "Errors by spectroscopic teff",
        "433 stars that the model never saw",
        "mean ± standard deviation over 2 trainings",
        "four different things",
        "Coverage at fixed true value cannot be promised",
        "teff 68 433 70.0 0.0225 ± 0.0040 15.0",
        "fe_h < -1 6,000",
    ],
)
def test_what_must_be_said(page: Page, text: str) -> None:
    words = page.words
    for part in [text] if not re.fullmatch(r"[\d, ]+", text) else text.split():
        assert part in words


def test_every_flag_with_its_meaning_count_and_share(page: Page) -> None:
    meaning = {bit: text for bit, _, text in describe(CatalogueFlag)}
    for i, bit in enumerate(CatalogueFlag):
        assert f"{bit.name} {int(bit)} {meaning[int(bit)]} {111 * i:,} {100 * 111 * i / 68001:.2f} %" in page.words


def test_mock_is_said_everywhere(mock_html: str) -> None:
    page = Page(mock_html)
    assert BANNER in page.words
    results = [c for c in page.captions if "MOCK DATA." in c]
    others = [c for c in page.captions if "MOCK DATA." not in c]
    assert [re.sub(r"^Table \d+\. ", "", c.strip())[:8] for c in others] == ["Surveys,", "Steps. C", "Versions"]
    assert len(results) > 20
    assert "Observed" not in page.text


def test_mock_is_not_said_of_observed_stars(html: str, page: Page) -> None:
    assert "MOCK" not in page.text
    assert sum("Observed stars." in c for c in page.captions) == len(page.captions) - 3


def test_mock_pictures_say_so_themselves() -> None:
    test = predictions(300)
    assert png(plots.one_to_one(test, list(LABELS)), mock=True) != png(plots.one_to_one(test, list(LABELS)))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("where", ["provenance.json", "metrics.json"])
def test_one_record_that_says_mock_is_enough(tmp_path: Path, where: str) -> None:
    path = make_run(tmp_path / "run", n=50)
    document = json.loads((path / where).read_text())
    (path / where).write_text(json.dumps(document | {"mock": True}))
    assert BANNER in report(path).read_text(encoding="utf-8")


def test_texts_of_the_user_are_escaped(mock_html: str) -> None:
    page = Page(mock_html)
    assert re.findall(r"<script[^>]*>", mock_html) == ["<script>"]
    assert HOSTILE in page.text
    # Nor in the names of the downloaded data, which are no HTML.
    assert "alert('x')" not in re.search(r"<script>(.*)</script>", mock_html, re.DOTALL)[1]


@pytest.mark.usefixtures("undrawn")
def test_one_table_and_one_label(tmp_path: Path) -> None:
    page = Page(report(make_run(tmp_path / "run", n=300, labels=("fe_h",), match=False)).read_text("utf-8"))
    assert "nothing was matched" in page.words
    assert "fe_h (dex)" in page.words
    assert "teff (K)" not in page.words
    assert len(page.titles) == len(TITLES)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metrics.json", "The run has no figures of merit yet"),
        ("test.parquet", "The run has no predictions of a test part"),
        ("catalogue.parquet", "The run has no catalogue yet"),
        ("pairs_skymapper_dr2.parquet", "Counts of the match"),
        ("neighbours_skymapper_dr2.parquet", "Counts of the match"),
        ("model/MODEL_CARD.md", "Settings in force"),
    ],
)
def test_a_run_that_did_not_end(tmp_path: Path, name: str, said: str) -> None:
    path = make_run(tmp_path / "run", n=100)
    (path / name).unlink()
    page = Page(report(path).read_text("utf-8"))
    assert said in page.words
    assert len(page.titles) == len(TITLES)


def test_a_run_that_did_not_finish(tmp_path: Path) -> None:
    """Its folder may hold files of an earlier run with other settings: nothing is reported."""
    path = make_run(tmp_path / "run", n=20)
    record = json.loads((path / "provenance.json").read_text())
    del record["steps"]["evaluate"]
    (path / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="did not finish"):
        report(path)


def test_tables_without_rows(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", n=20)
    for name in ("test", "catalogue", "pairs_skymapper_dr2"):
        file = path / f"{name}.parquet"
        pl.read_parquet(file).head(0).write_parquet(file)
    assert len(Page(report(path).read_text("utf-8")).titles) == len(TITLES)


@pytest.mark.usefixtures("undrawn")
def test_a_test_part_without_magnitudes(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", n=200)
    pl.read_parquet(path / "test.parquet").drop("magnitude").write_parquet(path / "test.parquet")
    assert "Coverage by predicted value and magnitude" not in report(path).read_text("utf-8")


def test_not_the_folder_of_a_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"not the folder of a run.*starscale run"):
            report(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["provenance.json", "metrics.json"])
@pytest.mark.parametrize("text", ['{"steps": ', "[1, 2]", "\x00", '"text"'])
def test_damaged_records(tmp_path: Path, name: str, text: str) -> None:
    path = make_run(tmp_path / "run", n=20)
    (path / name).write_text(text)
    with pytest.raises(InputError, match=rf"{name}: is damaged"):
        report(path)


@pytest.mark.usefixtures("undrawn")
def test_damaged_attrition(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", n=20)
    document = json.loads((path / "provenance.json").read_text())
    del document["steps"]["clean gaia_dr3"]["result"]["attrition"]["n_in"]
    (path / "provenance.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="cuts of a step 'clean'"):
        report(path)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["catalogue.parquet", "test.parquet"])
def test_damaged_tables_leave_the_older_report(tmp_path: Path, name: str) -> None:
    path = make_run(tmp_path / "run", n=20)
    (path / "report.html").write_text("older")
    (path / name).write_bytes(b"PAR1 no table")
    with pytest.raises(InputError):
        report(path)
    assert (path / "report.html").read_text() == "older"


@pytest.mark.usefixtures("undrawn")
def test_a_test_part_that_lacks_a_column(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", n=20)
    pl.read_parquet(path / "test.parquet").drop("teff_error").write_parquet(path / "test.parquet")
    with pytest.raises(InputError, match="teff_error"):
        report(path)


def test_a_huge_catalogue_is_sampled_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "SAMPLE", 100)
    file = tmp_path / "catalogue.parquet"
    pl.DataFrame({"ra": np.arange(1030.0), "other": np.arange(1030)}).write_parquet(file, row_group_size=37)
    sample, weight = spread_sample(file, ("ra", "dec"))
    assert weight == 11
    assert sample["ra"].to_list() == list(np.arange(0.0, 1030, 11))


def test_missing_tables_and_columns_sample_to_nothing(tmp_path: Path) -> None:
    assert spread_sample(tmp_path / "none.parquet", ("ra",))[0].is_empty()
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    assert spread_sample(tmp_path / "x.parquet", ("ra",))[0].is_empty()
