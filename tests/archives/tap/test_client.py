"""Downloads against a service in a thread that misbehaves in every way that archives do."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.archives.api import Fetched, fetch
from starscale.archives.tap.client import Patience
from starscale.archives.tap.retry import Retry
from starscale.surveys import Survey
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from starscale.vocabulary.settings.run import FetchSettings
from support.fake_tap import FakeTap, serving
from support.recorded_progress import RecordedProgress

QUICK = Retry(attempts=4, first=0.01, longest=0.02)
PATIENT = Patience(connect=2, read=0.5, job=5, poll=0.02)

SURVEY = """
name = "stars"
title = "Test stars"
kind = "photometric"
service = "{service}"
table = "cat.stars"

[archive]
login = "basic"

[id]
column = "star_id"
lower = 1

[position]
ra = "ra"
dec = "dec"

[[cuts]]
name = "good"
keep = "flag = 0 AND NOT blended"

[[cuts]]
name = "bits"
keep = "(flag & 2) = 0"

[columns]
star_id = {{ dtype = "int64" }}
ra = {{ unit = "deg" }}
dec = {{ unit = "deg" }}
mag = {{ dtype = "float32", unit = "mag", sentinels = [-99] }}
flag = {{ dtype = "int32" }}
blended = {{ dtype = "bool" }}
kind = {{ dtype = "string" }}
nowhere = {{ dtype = "float32" }}
"""


def stars(n: int) -> pl.DataFrame:
    """A table with an uneven distribution of identifiers."""
    i = pl.int_range(n, eager=True)
    return pl.DataFrame(
        {
            "star_id": i * i * 7 + 2**60,
            "ra": i * 0.01,
            "dec": i * 0.001 - 40,
            "mag": [None if k % 11 == 0 else -99.0 if k % 13 == 0 else 10 + k / 100 for k in range(n)],
            "flag": (i % 4).cast(pl.Int32),
            "blended": (i % 5 == 0).cast(pl.String),
            "kind": ["STAR" if k % 2 else "GALAXY" for k in range(n)],
        }
    )


@pytest.fixture
def tap() -> Iterator[FakeTap]:
    service = FakeTap({"cat.stars": stars(1000)})
    with serving(service):
        yield service


@pytest.fixture
def survey(tap: FakeTap, tmp_path: Path) -> Survey:
    (tmp_path / "stars.toml").write_text(SURVEY.format(service=tap.url))
    return ss.load_survey(tmp_path / "stars.toml")


def get(survey: Survey, folder: Path, *, chunk: int = 300, jobs: int = 2, **more: Any) -> Fetched:
    """Fetch the whole table."""
    settings = more.pop("settings", FetchSettings(chunk=chunk, jobs=jobs))
    more = {"whole": True, "retry": QUICK, "patience": PATIENT} | more
    return fetch(survey, folder / "out.parquet", settings=settings, **more)


def is_whole(done: Fetched, tap: FakeTap) -> bool:
    expected = tap.tables["cat.stars"].sort("star_id")
    found = ss.read(done.path).sort("star_id")
    return bool(found["star_id"].equals(expected["star_id"]) and found["kind"].equals(expected["kind"]))


def test_the_table_comes_row_for_row_in_pieces(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    done = get(survey, tmp_path)
    assert is_whole(done, tap)
    assert done.rows == done.counted == 1000
    assert done.account.document() == {"in": 1000, "out": 1000, "removed": {}}
    assert get(survey, tmp_path).account == done.account
    assert done.record["queries"] >= 4
    table = ss.read(done.path)
    assert table.schema == {
        "star_id": pl.Int64,
        "ra": pl.Float64,
        "dec": pl.Float64,
        "mag": pl.Float32,
        "flag": pl.Int32,
        "blended": pl.Boolean,
        "kind": pl.String,
    }
    # Nulls and sentinels both.
    assert table["mag"].null_count() == sum(k % 11 == 0 or k % 13 == 0 for k in range(1000))
    assert not (tmp_path / "out.parquet.fetch").exists()
    # Jobs are not left on the server.
    assert sorted(tap.deleted, key=int) == [str(n) for n in range(1, len(tap.jobs) + 1)]
    assert all("starscale/" in header["User-Agent"] for header in tap.headers)


def test_nothing_is_printed(
    tap: FakeTap, survey: Survey, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    get(survey, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_provenance_holds_queries_service_times_and_counts(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    get(survey, tmp_path, mock=True)
    source = io.open_table(tmp_path / "out.parquet")
    document = json.loads(source.metadata["starscale.provenance"])
    record = document["fetch"]
    assert document["mock"] is True
    assert record["service"] == tap.url
    assert record["adql"] in {query.split("\nWHERE")[0] for query in tap.queries}
    assert record["rows_counted"] == record["rows_received"] == record["rows_written"] == 1000
    assert sum(piece["rows"] for piece in record["pieces"]) == 1000
    assert record["fetched_from"] <= record["fetched_to"]
    assert record["columns_the_archive_lacks"] == ["nowhere"]
    assert source.columns["mag"].unit == "mag"


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("submit", "503"),
        ("submit", "close"),
        ("result", "500"),
        ("result", "hang"),
        ("look", "500"),
        ("look", "hang"),
        ("sync", "504"),
    ],
)
def test_a_fault_that_passes_is_survived(
    tap: FakeTap, survey: Survey, tmp_path: Path, where: str, kind: str
) -> None:
    tap.faults[where] = deque([None, kind, None, kind])
    assert is_whole(get(survey, tmp_path), tap)


@pytest.mark.parametrize("kind", ["cut", "torn", "short", "long"])
def test_an_answer_that_is_not_whole_is_fetched_again(
    tap: FakeTap, survey: Survey, tmp_path: Path, kind: str
) -> None:
    tap.faults["rows"] = deque([None, kind])
    done = get(survey, tmp_path, jobs=1)
    assert not tap.faults["rows"]
    assert is_whole(done, tap)


def test_overflow_divides_further(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    """The service does not say its limit beforehand."""
    tap.hard, tap.said = 60, False
    seen = RecordedProgress()
    done = get(survey, tmp_path, progress=seen)
    assert is_whole(done, tap)
    assert any("OVERFLOW" in text for text in seen.messages)
    assert done.record["rows_of_a_query"] <= 300


def test_the_limit_that_a_service_states_is_kept(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    tap.hard = 60
    seen = RecordedProgress()
    assert is_whole(get(survey, tmp_path, progress=seen), tap)
    assert not any("OVERFLOW" in text for text in seen.messages)


def test_silent_truncation_is_noticed_and_divided(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    """Some services cut tables off without a word."""
    tap.hard, tap.said, tap.honest = 200, False, False
    seen = RecordedProgress()
    assert is_whole(get(survey, tmp_path, progress=seen), tap)
    assert any("200 rows came, and the service had counted" in text for text in seen.messages)


def test_a_service_that_never_delivers_what_it_counts_is_an_error(
    tap: FakeTap, survey: Survey, tmp_path: Path
) -> None:
    class Short(deque[str | None]):
        def __bool__(self) -> bool:
            return True

        def popleft(self) -> str | None:
            return "short"

    tap.faults["rows"] = Short()
    with pytest.raises(InputError, match="rows came, and the service had counted"):
        get(survey, tmp_path, jobs=1)
    assert not (tmp_path / "out.parquet").exists()


def test_a_query_that_takes_too_long_is_divided(tap: FakeTap, survey: Survey, tmp_path: Path) -> None:
    tap.faults["rows job"] = deque([None, "aborted"])
    assert is_whole(get(survey, tmp_path, jobs=1), tap)
    tap.faults["sync"] = deque([None, "500"])
    tap.faults["count job"] = deque(["aborted"])
    with pytest.raises(StarscaleError, match="rows cannot be counted: the service stopped the query"):
        get(survey, tmp_path, fresh=True)


def test_a_server_that_stays_away_is_an_error_and_the_next_call_goes_on(
    survey: Survey, tap: FakeTap, tmp_path: Path
) -> None:
    tap.faults["rows"] = deque([None, None] + ["500"] * 100)
    with pytest.raises(
        StarscaleError,
        match=r"HTTP 500.*4 attempts.*pieces are kept in .*out.parquet.fetch: the same command resumes there",
    ):
        get(survey, tmp_path, jobs=1)
    assert not (tmp_path / "out.parquet").exists()
    kept = sorted(path.name for path in (tmp_path / "out.parquet.fetch").glob("*.parquet"))
    assert kept
    asked = len(tap.queries)
    tap.faults["rows"].clear()
    seen = RecordedProgress()
    done = get(survey, tmp_path, jobs=1, progress=seen)
    assert is_whole(done, tap)
    (task,) = seen.tasks
    assert task.before > 0
    assert task.before + task.done == task.total == 1000
    again = [query for query in tap.queries[asked:] if "COUNT" not in query and "TOP" not in query]
    assert len(again) == done.record["queries"] - len(kept)
    assert not [query for query in tap.queries[asked:] if "COUNT" in query]


def test_a_kept_piece_that_was_damaged_is_fetched_again(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    tap.faults["rows"] = deque([None, None] + ["500"] * 100)
    with pytest.raises(StarscaleError):
        get(survey, tmp_path, jobs=1)
    kept = sorted((tmp_path / "out.parquet.fetch").glob("*.parquet"))
    kept[0].write_bytes(kept[0].read_bytes()[:-10])
    tap.faults["rows"].clear()
    assert is_whole(get(survey, tmp_path, jobs=1), tap)


def test_pieces_of_another_request_are_not_used(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    tap.faults["rows"] = deque([None, None] + ["500"] * 100)
    with pytest.raises(StarscaleError):
        get(survey, tmp_path, jobs=1)
    tap.faults["rows"].clear()
    cut = Cuts(apply=False, extra=(ExtraCut(name="mine", keep="flag < 2"),))
    done = get(survey, tmp_path, settings=FetchSettings(chunk=300, cuts=cut))
    assert done.rows == 500
    assert done.before_cuts == 1000


def test_the_same_request_is_not_asked_twice(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    first = get(survey, tmp_path)
    asked = len(tap.queries)
    second = get(survey, tmp_path)
    assert second.already
    assert second.rows == first.rows
    assert len(tap.queries) == asked
    assert not get(survey, tmp_path, fresh=True).already


def test_cuts_are_applied_there_or_here(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    """This archive cannot test bits; that cut is applied to what comes, and counted."""
    done = get(survey, tmp_path, settings=FetchSettings(cuts=Cuts()))
    expected = [k for k in range(1000) if k % 4 == 0 and k % 5 != 0]
    assert done.rows == len(expected)
    assert done.before_cuts == 1000
    assert done.attrition is not None
    assert [row.name for row in done.attrition.rows] == ["bits"]
    assert any("t.blended = 'false'" in query for query in tap.queries)
    done = get(survey, tmp_path, settings=FetchSettings(cuts=Cuts(without=("good",))))
    assert done.rows == sum(k % 4 < 2 for k in range(1000))


def test_ids_are_uploaded_in_slices(
    survey: Survey, tap: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starscale.archives.tap.request.Request.upload_rows", 40)
    ids = [*tap.tables["cat.stars"]["star_id"][:100].to_list(), 5, 5, 6]
    settings = FetchSettings(columns=("mag",))
    done = fetch(survey, tmp_path / "o.parquet", ids=ids, settings=settings, retry=QUICK, patience=PATIENT)
    assert done.rows == 100
    assert done.unknown == 2
    assert ss.read(done.path).columns == ["star_id", "mag"]


def test_no_row_is_an_error_and_leaves_nothing(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no row of stars \(Test stars\) is in the list of identifiers"):
        fetch(survey, tmp_path / "o.parquet", ids=[1, 2], retry=QUICK, patience=PATIENT)
    assert [path.name for path in tmp_path.iterdir()] == ["stars.toml"]


def test_rows_without_the_dividing_column_come_too(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    table = tap.tables["cat.stars"]
    dec = pl.Series([None if k % 100 == 0 else v for k, v in enumerate(table["dec"])])
    tap.tables["cat.stars"] = table.with_columns(dec.alias("dec"))
    place = survey.archive.model_copy(update={"split": "dec"})
    assert is_whole(get(survey.model_copy(update={"archive": place}), tmp_path), tap)


def test_one_value_for_all_rows_cannot_be_divided(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    place = survey.archive.model_copy(update={"split": "flag"})
    with pytest.raises(
        InputError, match=r"250 rows cannot be divided into pieces of 100: all of them have t.flag"
    ):
        get(survey.model_copy(update={"archive": place}), tmp_path, chunk=100)


def test_a_wrong_table_and_a_wrong_identifier(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    with pytest.raises(StarscaleError, match="not found"):
        get(survey.model_copy(update={"table": "cat.nothing"}), tmp_path)
    tap.tables["cat.stars"] = tap.tables["cat.stars"].rename({"star_id": "starid"})
    with pytest.raises(InputError, match=r"has no column 'star_id'.*Did you mean 'starid'"):
        get(survey, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["stars.toml"]


def test_a_refusal_is_not_tried_again(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    tap.faults["submit"] = deque(["403"])
    with pytest.raises(StarscaleError, match="HTTP 403"):
        get(survey, tmp_path)
    tap.faults["rows job"] = deque(["error"])
    with pytest.raises(StarscaleError, match="out of memory"):
        get(survey, tmp_path)


def test_an_archive_that_is_not_there(survey: Survey, tmp_path: Path) -> None:
    place = {"service": "http://127.0.0.1:9/tap"}
    with pytest.raises(StarscaleError, match=r"^http://127.0.0.1:9/tap: the connection is refused") as caught:
        get(survey.model_copy(update=place), tmp_path)
    assert "\n" not in str(caught.value)
    estimate = ss.plan_fetch(survey.model_copy(update=place), whole=True)
    assert estimate.rows is None
    assert "refused" in estimate.reason
    assert "FROM cat.stars AS t" in estimate.queries["rows"]


def test_the_plan_counts(survey: Survey, tap: FakeTap) -> None:
    estimate = ss.plan_fetch(survey, whole=True, settings=FetchSettings(chunk=300))
    assert (estimate.rows, estimate.pieces) == (1000, 4)
    assert estimate.megabytes == pytest.approx(1000 * (8 + 8 + 8 + 4 + 4 + 1 + 16) / 1e6)
    assert estimate.missing == ("nowhere",)


def test_the_plan_reports_failed_attempts(survey: Survey, tap: FakeTap) -> None:
    """The column query succeeds; the count fails at once and as a job, and then succeeds."""
    tap.faults["sync"] = deque([None, "504"])
    tap.faults["submit"] = deque(["503"])
    seen = RecordedProgress()
    assert ss.plan_fetch(survey, whole=True, progress=seen).rows == 1000
    assert any("HTTP 503; attempt 2 of 2" in text for text in seen.messages)


def test_progress_counts_the_rows(survey: Survey, tap: FakeTap, tmp_path: Path) -> None:
    seen = RecordedProgress()
    get(survey, tmp_path, progress=seen)
    assert "note: the archive has no column 'nowhere'" in seen.messages
    assert any(text.startswith("1,000 rows in ") for text in seen.messages)
    assert [(task.title, task.total, task.done, task.before) for task in seen.tasks] == [("fetch", 1000, 1000, 0)]


def test_an_interrupt_deletes_the_queries_on_the_server(
    survey: Survey, tap: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while two queries run."""
    from starscale.archives.tap import download

    def impatient(*args: Any, **kwargs: Any) -> Any:
        for _ in range(200):
            if sum(job["phase"] == "EXECUTING" for job in tap.jobs.values()) == 2:
                break
            threading.Event().wait(0.02)
        raise KeyboardInterrupt

    def plan(self: Any) -> Any:
        pieces = original(self)
        tap.stuck = True
        return pieces

    original = download.Download.plan
    monkeypatch.setattr(download, "wait", impatient)
    monkeypatch.setattr(download.Download, "plan", plan)
    with pytest.raises(KeyboardInterrupt):
        get(survey, tmp_path)
    stuck = {number for number, job in tap.jobs.items() if job["phase"] == "EXECUTING"}
    assert len(stuck) == 2
    assert stuck <= set(tap.deleted)


@pytest.mark.parametrize("login", ["basic", "token", "form"])
def test_a_login_reaches_the_archive_and_nothing_else(
    survey: Survey, tap: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    access = survey.archive.model_copy(update={"login": login})
    monkeypatch.setenv("STARSCALE_TAP_USER", "me")
    monkeypatch.setenv("STARSCALE_TAP_PASSWORD", "secret")
    if login == "token":
        monkeypatch.setenv("STARSCALE_TAP_TOKEN", "secret-token")
    settings = FetchSettings(login=True)
    seen = RecordedProgress()
    done = get(survey.model_copy(update={"archive": access}), tmp_path, settings=settings, progress=seen)
    # The first request of a session that logs in by a form is the form itself.
    sent = [header.get("Authorization", header.get("Cookie", "form ")).split()[0] for header in tap.headers]
    assert set(sent) - {"form"} == {"basic": {"Basic"}, "token": {"Bearer"}, "form": {"session=1"}}[login]
    assert sent.count("form") <= (3 if login == "form" else 0)
    assert done.record["logged_in"] is True
    for path in tmp_path.iterdir():
        assert b"secret" not in path.read_bytes()
    assert "secret" not in "".join(seen.messages)


def test_a_login_that_is_refused_or_missing(
    survey: Survey, tap: FakeTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STARSCALE_TAP_USER", "STARSCALE_TAP_PASSWORD", "STARSCALE_TAP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "nothing"))
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = FetchSettings(login=True)
    with pytest.raises(InputError, match=r"there is no name and password.*STARSCALE_TAP_USER"):
        get(survey, tmp_path, settings=settings)
    monkeypatch.setenv("STARSCALE_TAP_USER", "me")
    monkeypatch.setenv("STARSCALE_TAP_PASSWORD", "wrong")
    form = survey.model_copy(update={"archive": survey.archive.model_copy(update={"login": "form"})})
    with pytest.raises(InputError, match=r"refused the login \(HTTP 401\)") as caught:
        get(form, tmp_path, settings=settings)
    assert "wrong" not in str(caught.value)
    none = survey.model_copy(update={"archive": survey.archive.model_copy(update={"login": None})})
    with pytest.raises(InputError, match="is not known to have a login"):
        get(none, tmp_path, settings=settings)
