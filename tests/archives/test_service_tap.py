"""Fetching from a real TAP server (GAVO DaCHS) on loopback, which serves mock tables of 20,000 stars.

`make service-tests` installs, fills and starts it, and says where its tables are (STARSCALE_TAP_TABLES).
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.archives.api import fetch
from starscale.archives.tap.client import Client, Patience, quiet
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.trouble import TruncatedError
from starscale.surveys import load_survey
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.progress import SilentProgress
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.run import FetchSettings
from support.faulty_proxy import Proxy, proxy
from support.label_runs import short_run
from support.places import ROOT
from support.recorded_progress import RecordedProgress
from support.tap_surveys import moved

pytestmark = pytest.mark.service

QUICK = Retry(attempts=4, first=0.2, longest=1)
ALONE = FetchSettings(join=False)


def control(*verb: str) -> str:
    """Tell the server what to do."""
    done = subprocess.run([ROOT / ".ci" / "tap-server", *verb], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def tables() -> Path:
    folder = os.environ.get("STARSCALE_TAP_TABLES")
    if not folder:
        pytest.skip("no TAP server: its packages cannot be had here, or make service-tests was not used")
    return Path(folder)


@pytest.fixture(scope="session")
def url(tables: Path) -> str:
    return control("url")


@pytest.fixture(scope="session")
def surveys(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return moved(tmp_path_factory.mktemp("surveys"), url)


@pytest.fixture(scope="session")
def gaia(tables: Path) -> pl.DataFrame:
    return ss.read(tables / "mock" / "gaia_dr3.parquet", survey="gaia_dr3").sort("source_id")


@pytest.fixture(scope="session")
def star(gaia: pl.DataFrame) -> tuple[float, float]:
    """A place that both catalogues cover."""
    south = gaia.filter(pl.col("dec") < -20)
    return float(south["ra"][0]), float(south["dec"][0])


@pytest.fixture
def broken(url: str, tmp_path: Path) -> Iterator[tuple[Proxy, dict[str, Path]]]:
    """A proxy that breaks answers, and the surveys behind it."""
    with proxy(urlparse(url).netloc) as server:
        yield server, moved(tmp_path / "surveys", url.replace(server.target, server.own))


def separation(ra: pl.Series, dec: pl.Series, centre: tuple[float, float]) -> np.ndarray:
    """Degrees, by the haversine formula."""
    a, d = np.radians(ra.to_numpy()), np.radians(dec.to_numpy())
    a0, d0 = np.radians(centre)
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half)))


def test_a_cone_is_what_brute_force_finds(
    surveys: dict[str, Path], gaia: pl.DataFrame, star: tuple[float, float], tables: Path, tmp_path: Path
) -> None:
    done = fetch(surveys["gaia_dr3"], tmp_path / "cone.parquet", cone=(*star, 0.5), mock=True)
    expected = gaia.filter(pl.Series(separation(gaia["ra"], gaia["dec"], star) <= 0.5))
    found = ss.read(done.path)
    assert expected.height > 20
    assert found.select(gaia.columns).sort("source_id").equals(expected)
    # The distances came with it.
    distances = ss.read(tables / "mock" / "bailer_jones_edr3.parquet", survey="bailer_jones_edr3")
    both = expected.select("source_id").join(distances, on="source_id", how="left")
    assert found.select(both.columns).sort("source_id").equals(both.sort("source_id"))


def test_the_whole_table_comes_row_for_row(surveys: dict[str, Path], gaia: pl.DataFrame, tmp_path: Path) -> None:
    """Beyond the 5,000 rows of an answer that the server allows."""
    done = fetch(surveys["gaia_dr3"], tmp_path / "whole.parquet", whole=True, settings=ALONE, mock=True)
    found = ss.read(done.path)
    assert done.record["queries"] >= 5
    assert found.schema == gaia.select(found.columns).schema
    assert found.sort("source_id").equals(gaia.select(found.columns))


def test_cuts_of_the_archive_are_ours(surveys: dict[str, Path], tables: Path, tmp_path: Path) -> None:
    done = fetch(surveys["gaia_dr3"], tmp_path / "cut.fits", whole=True, settings=FetchSettings(cuts=Cuts()))
    folder = tables / "mock"
    join = [(folder / "bailer_jones_edr3.parquet", "bailer_jones_edr3")]
    clean = ss.clean(folder / "gaia_dr3.parquet", survey="gaia_dr3", join=join)
    assert done.before_cuts == clean.attrition.n_in
    assert set(ss.read(done.path)["source_id"]) == set(clean.table["source_id"])


def test_identifiers_and_positions_are_uploaded(
    surveys: dict[str, Path], gaia: pl.DataFrame, tmp_path: Path
) -> None:
    some = gaia.sample(500, seed=1).sort("source_id")
    some.select("source_id").write_csv(tmp_path / "ids.csv")
    done = fetch(surveys["gaia_dr3"], tmp_path / "i.parquet", ids=tmp_path / "ids.csv", settings=ALONE)
    assert ss.read(done.path).sort("source_id").equals(some.select(ss.read(done.path).columns))
    assert done.unknown == 0
    few = some.head(40)
    done = fetch(surveys["gaia_dr3"], tmp_path / "p.parquet", positions=few, radius=2.0, settings=ALONE)
    near = set()
    for ra, dec in few.select("ra", "dec").iter_rows():
        close = separation(gaia["ra"], gaia["dec"], (ra, dec)) <= 2.0 / 3600
        near |= set(gaia.filter(pl.Series(close))["source_id"])
    assert set(ss.read(done.path)["source_id"]) == near


def test_a_box_through_zero_and_a_cell(surveys: dict[str, Path], gaia: pl.DataFrame, tmp_path: Path) -> None:
    few = FetchSettings(join=False, columns=("source_id", "ra", "dec"))
    done = fetch(surveys["gaia_dr3"], tmp_path / "b.parquet", box=(200, 20, -90, 0), settings=few)
    expected = gaia.filter((pl.col("ra") >= 200) | (pl.col("ra") <= 20), pl.col("dec") <= 0)
    assert set(ss.read(done.path)["source_id"]) == set(expected["source_id"])
    cell = int(gaia["source_id"][0]) >> 51
    done = fetch(surveys["gaia_dr3"], tmp_path / "c.parquet", cell=(4, cell), settings=ALONE)
    expected = gaia.filter(pl.col("source_id") // 2**51 == cell)
    assert set(ss.read(done.path)["source_id"]) == set(expected["source_id"])


def test_the_whole_join_runs_on_the_server(
    surveys: dict[str, Path], star: tuple[float, float], tables: Path, tmp_path: Path
) -> None:
    settings = FetchSettings(match=(str(surveys["skymapper_dr2"]),))
    done = fetch(surveys["gaia_dr3"], tmp_path / "m.parquet", cone=(*star, 2), settings=settings)
    found = ss.read(done.path)
    best = pl.read_parquet(tables / "best_neighbour.parquet")
    sky = ss.read(tables / "mock" / "skymapper_dr2.parquet", survey="skymapper_dr2")
    gaia = ss.read(tables / "mock" / "gaia_dr3.parquet", survey="gaia_dr3")
    inside = gaia.filter(pl.Series(separation(gaia["ra"], gaia["dec"], star) <= 2))
    pairs = best.join(inside, on="source_id").join(sky, left_on="original_ext_source_id", right_on="object_id")
    columns = ["source_id", "g_psf", "e_g_psf", "r_med_geo", "angular_distance", "number_of_neighbours"]
    assert set(columns) < set(found.columns)
    kept = [c for c in columns if c != "r_med_geo"]
    assert found.select(kept).sort("source_id").equals(pairs.select(kept).sort("source_id"))


def test_what_the_server_cuts_off_is_never_a_table(
    url: str, surveys: dict[str, Path], gaia: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = load_survey(surveys["gaia_dr3"]).places[0]
    query = "SELECT t.source_id FROM gaiadr3.gaia_source AS t"
    with quiet(), Client(place) as client:
        with pytest.raises(TruncatedError, match="OVERFLOW") as caught:
            client.fetch(query, tmp_path / "x.vot", rows=gaia.height)
        assert caught.value.received == 5000
        assert client.row_limit() == 5000
    # A client that does not know the limit finds it out.
    monkeypatch.setattr(Client, "row_limit", lambda self: None)
    said = RecordedProgress()
    settings = FetchSettings(join=False, columns=("source_id", "ra"), chunk=50_000)
    done = fetch(surveys["gaia_dr3"], tmp_path / "all.parquet", whole=True, settings=settings, progress=said)
    assert ss.read(done.path)["source_id"].sort().equals(gaia["source_id"])
    assert any("OVERFLOW" in text for text in said.messages)


@pytest.mark.parametrize("fault", ["500", "hang", "cut"])
def test_faults_on_the_way(
    broken: tuple[Proxy, dict[str, Path]], gaia: pl.DataFrame, tmp_path: Path, fault: str
) -> None:
    server, surveys = broken
    server.faults["result"] = deque([fault, fault])
    server.faults["job"] = deque([None] * 5 + (["500"] if fault == "cut" else [fault]))
    settings = FetchSettings(join=False, columns=("source_id", "ra", "dec"))
    done = fetch(
        surveys["gaia_dr3"],
        tmp_path / "f.parquet",
        box=(0, 360, -90, -60),
        settings=settings,
        retry=QUICK,
        patience=Patience(connect=5, read=8, poll=1),
    )
    expected = gaia.filter(pl.col("dec") <= -60).select("source_id", "ra", "dec")
    assert ss.read(done.path).sort("source_id").equals(expected)
    assert len(server.done) == 3
    assert server.done.count(fault) >= 2


def test_a_server_that_is_killed_and_comes_back(
    surveys: dict[str, Path], gaia: pl.DataFrame, tmp_path: Path
) -> None:
    output = tmp_path / "k.parquet"
    folder = tmp_path / "k.parquet.fetch"
    settings = FetchSettings(join=False, columns=("source_id", "ra", "dec"), chunk=4000, jobs=1)

    def kill() -> None:
        for _ in range(600):
            if len(list(folder.glob("piece-*.parquet"))) >= 2:
                break
            time.sleep(0.05)
        control("kill")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(StarscaleError, match=r"pieces are kept in .*k\.parquet\.fetch"):
            fetch(surveys["gaia_dr3"], output, whole=True, settings=settings, retry=QUICK)
    finally:
        killer.join()
        control("start")
    assert not output.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("piece-*.parquet")}
    assert len(kept) >= 2
    seen: dict[str, int] = {}

    class Look(SilentProgress):
        def message(self, text: str) -> None:
            seen.update({path.name: path.stat().st_mtime_ns for path in folder.glob("piece-*.parquet")})

    done = fetch(surveys["gaia_dr3"], output, whole=True, settings=settings, progress=Look())
    assert {name: seen[name] for name in kept} == kept
    assert ss.read(done.path).sort("source_id").equals(gaia.select("source_id", "ra", "dec"))


def test_wrong_names_are_said_by_name(surveys: dict[str, Path], tmp_path: Path) -> None:
    survey, output = load_survey(surveys["gaia_dr3"]), tmp_path / "x.parquet"
    wrong = survey.model_copy(update={"table": "gaiadr3.gaia_sauce"})
    with pytest.raises(StarscaleError, match=r"gaiadr3\.gaia_sauce"):
        fetch(wrong, output, whole=True, settings=ALONE)
    settings = FetchSettings(columns=("parallaxx",))
    with pytest.raises(InputError, match=r"'parallaxx': is not in this request.*'parallax'"):
        fetch(surveys["gaia_dr3"], output, whole=True, settings=settings)
    other = load_survey(surveys["skymapper_dr2"]).model_copy(update={"table": "gaiadr3.gaia_source"})
    with pytest.raises(InputError, match="has no column 'object_id'"):
        fetch(other, output, whole=True)
    query = "SELECT t.no_such_column FROM gaiadr3.gaia_source AS t"
    with quiet(), Client(survey.places[0]) as client, pytest.raises(StarscaleError, match="no_such_column"):
        client.fetch(query, tmp_path / "x.vot", rows=1)
    (tmp_path / "x.vot").unlink(missing_ok=True)
    assert not list(tmp_path.iterdir())


RUN = """
title = "fetched"
mock = true
seed = 3

[catalogue]
survey = "{gaia}"
fetch = {{ box = [0, 360, -90, -30], service = "{url}" }}

[[photometry]]
survey = "{sky}"
fetch = {{ box = [0, 360, -90, -30], at = "gaia" }}

[[labels]]
survey = "galah_dr3"
path = "{labels}"

[model]
kind = "mixture"
members = 1
epochs = 3
batch = 16
width = 16
layers = 1
frequencies = 2
"""


def test_a_run_fetches_first_and_once(surveys: dict[str, Path], url: str, tables: Path, tmp_path: Path) -> None:
    text = RUN.format(
        gaia=surveys["gaia_dr3"],
        sky=surveys["skymapper_dr2"],
        url=url,
        labels=tables / "mock" / "galah_dr3.parquet",
    )
    (tmp_path / "run.toml").write_text(text)
    assert "will be fetched" in ss.check(tmp_path / "run.toml")[0]
    said: list[str] = []
    result = ss.run(tmp_path / "run.toml", tmp_path / "run", progress=RecordedProgress(said))
    assert result.catalogue.exists()
    assert "fetch gaia_dr3 ..." in said
    for name in ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2"):
        assert (tmp_path / "run" / f"fetched_{name}.parquet").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert url in page
    assert "gaiadr3.gaia_source" in page
    said.clear()
    ss.run(tmp_path / "run.toml", tmp_path / "run", progress=RecordedProgress(said))
    assert "fetch gaia_dr3: unchanged" in said
    assert "fetch skymapper_dr2: unchanged" in said


def test_the_paper_as_one_run_file(surveys: dict[str, Path], url: str, tables: Path, tmp_path: Path) -> None:
    """examples/turchi2024.toml on a part of the mock sky: every table is fetched, labels of five surveys too."""
    text = (ROOT / "examples" / "turchi2024.toml").read_text(encoding="utf-8")
    for name, path in surveys.items():
        text = text.replace(f'survey = "{name}"', f'survey = "{path}"')
    (tmp_path / "paper.toml").write_text(text, encoding="utf-8")
    run_file = short_run(tmp_path / "run.toml", tmp_path / "paper.toml", url, box="[0.0, 360.0, -25.0, 30.0]")
    plans = ss.plan_run(run_file)
    assert 't."[Fe/H]" AS feh' in plans["lamost_dr5"].queries["rows"]
    result = ss.run(run_file, tmp_path / "run")
    rows = {name: ss.read(tmp_path / "run" / f"fetched_{name}.parquet").height for name in plans}
    assert rows == {name: estimate.rows for name, estimate in plans.items()}
    assert min(rows.values()) > 50
    lamost = ss.read(tables / "mock" / "lamost_dr5.parquet", survey="lamost_dr5")
    fetched = ss.read(tmp_path / "run" / "fetched_lamost_dr5.parquet")
    expected = lamost.filter(pl.col("dec").is_between(-25, 30)).sort("obsid")
    assert fetched.sort("obsid").select("obsid", "teff", "feh").equals(expected.select("obsid", "teff", "feh"))
    measured = ss.read(tmp_path / "run" / "labels_measurements.parquet")
    assert set(measured["survey"].cast(pl.String)) == set(plans) - {"gaia_dr3", "skymapper_dr2"}
    assert result.catalogue.exists()
    assert "vizier.stellar5" in result.report.read_text(encoding="utf-8")


def test_a_dry_run_prints_the_query_and_the_rows(surveys: dict[str, Path], gaia: pl.DataFrame) -> None:
    command = ["starscale", "fetch", str(surveys["gaia_dr3"]), "--whole", "--dry-run", "--no-join"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "FROM gaiadr3.gaia_source AS t" in done.stdout
    assert f"{gaia.height:,} rows, about" in done.stdout


def test_a_survey_file_is_compared_with_the_tables_of_the_server(surveys: dict[str, Path], tmp_path: Path) -> None:
    for name in ("gaia_dr3", "skymapper_dr2", "bailer_jones_edr3"):
        told = ss.check_archive(surveys[name], at="gaia" if name == "skymapper_dr2" else None)
        assert [text for text in told if text.startswith("note: ") and "does not exist" in text] == []
    # A file that differs: another name, another unit, another type, a column more, another table.
    text = surveys["gaia_dr3"].read_text()
    changes = {
        "ruwe = ": "ruwe_new = ",
        "ruwe <=": "ruwe_new <=",
        'parallax = { unit = "mas"': 'parallax = { unit = "km"',
        'ref_epoch = { unit = "yr"': 'ref_epoch = { dtype = "int32", unit = "yr"',
        'description = "BP - RP" }': 'description = "BP - RP" }\nspare = { description = "of no use" }',
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(InputError) as error:
        ss.check_archive(tmp_path / "mine.toml")
    said = str(error.value)
    assert "'ruwe_new': does not exist (needed for the cut ruwe). Did you mean 'ruwe'" in said
    assert "'parallax': has the unit 'mas', expected 'km' (needed for" in said
    assert (
        "'ref_epoch': is of type 'DOUBLE PRECISION', expected int32 (needed for" in said or "'ref_epoch'" in said
    )
    assert "'spare' does not exist" in "\n".join(error.value.__notes__)
    wrong = text.replace('table = "gaiadr3.gaia_source"', 'table = "gaiadr3.gaia_sources"')
    (tmp_path / "mine.toml").write_text(wrong)
    with pytest.raises(InputError, match=r"gaia_sources: does not exist\. Did you mean 'gaiadr3.gaia_source'"):
        ss.check_archive(tmp_path / "mine.toml")
