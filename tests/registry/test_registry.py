"""Models by name: registry files, downloads, the user's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from starscale.registry.entries import RegisteredModel, RegistryFile, as_toml
from starscale.registry.packed import pack
from starscale.vocabulary.strict import load_toml, validate
from support.model_server import Server, entry
from support.small_model import small_model, small_stars


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_from_a_bundle_to_a_prediction_by_name_on_another_machine(
    bundle: Path, tmp_path: Path, home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    done = run(app, ["models", "pack", str(bundle), "-o", str(tmp_path / "small.tar"), "--licence", "CC0-1.0"])
    server.files = {"r.toml": done.stdout.encode(), "small.tar": (tmp_path / "small.tar").read_bytes()}
    address = server.address("plain/r.toml")
    assert "no" in run(app, ["models", "list", "--registry", address]).stdout
    assert run(app, ["models", "get", "small", "--registry", address], catch_exceptions=False).exit_code == 0
    asked = server.asked
    assert "CC0-1.0" in run(app, ["models", "show", "small"]).stdout
    stars = small_stars(50).drop("teff")
    ss.write(stars, tmp_path / "stars.parquet")
    monkeypatch.chdir(tmp_path)
    written = run(app, ["predict", "small", "stars.parquet", "-o", "c.parquet"], catch_exceptions=False)
    assert written.exit_code == 0, written.output
    assert ss.read("c.parquet")["teff"].equals(small_model().predict(stars)["teff"])
    assert ss.get_model("small").is_relative_to(home)
    assert server.asked == asked
    assert ss.list_models()["here"].to_list()[:1] == [True]


def test_a_path_goes_before_a_name(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ss.add_models(bundle, name="small")
    assert ss.load("small").labels == ("teff",)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    with pytest.raises(ss.InputError, match=r"has no bundle\.json"):
        ss.load("small")


def test_an_unknown_name_gives_the_nearest(bundle: Path) -> None:
    ss.add_models(bundle, name="segue_like")
    for verb in (ss.load, ss.get_model, ss.describe_model):
        with pytest.raises(ss.InputError, match=r"name.*Did you mean 'segue_like'"):
            verb("segue_lake")


@pytest.mark.parametrize(
    ("how", "fields", "said"),
    [
        ("short", {}, "the download failed"),
        ("unsized-short", {}, "has the SHA-256"),
        ("plain", {"size": 5000}, "too large; expected 5,000 bytes or less"),
        ("unsized", {"size": 5000}, "too large; expected 5,000 bytes or less"),
        ("missing", {}, "the server answers: 404"),
        ("away", {}, "is not an address that models are read from"),
    ],
)
def test_a_bad_download_leaves_nothing_and_a_good_one_follows(
    packed: bytes, tmp_path: Path, home: Path, server: Server, how: str, fields: dict[str, int], said: str
) -> None:
    server.files = {"small.tar": packed * (10 if fields else 1)}
    name = {"missing": "x.tar", "away": "ftp://host/x.tar"}.get(how, "small.tar")
    place = f'address = "{server.address(f"{how}/{name}")}"'
    (tmp_path / "bad.toml").write_text(entry(place, packed, **fields))
    with pytest.raises(ss.InputError, match=said):
        ss.get_model("small", registry=tmp_path / "bad.toml")
    assert everything(home) == []
    server.files = {"small.tar": packed}
    good = entry(f'address = "{server.address("plain/small.tar")}"', packed)
    (tmp_path / "good.toml").write_text(good)
    assert pack(ss.get_model("small", registry=tmp_path / "good.toml")) == packed


def test_an_address_leads_to_no_other_host_unless_the_user_knows_it(
    packed: bytes, tmp_path: Path, home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = {"small.tar": packed}
    other = server.address("plain/small.tar").replace("127.0.0.1", "localhost")
    (tmp_path / "r.toml").write_text(entry(f'address = "{server.address(f"away/{other}")}"', packed))
    with pytest.raises(ss.InputError, match=r"another host, localhost.*STARSCALE_HOSTS=localhost"):
        ss.get_model("small", registry=tmp_path / "r.toml")
    assert everything(home) == []
    monkeypatch.setenv("STARSCALE_HOSTS", "example.org, localhost")
    assert pack(ss.get_model("small", registry=tmp_path / "r.toml")) == packed


def test_a_model_that_is_not_here_is_not_downloaded_unasked(packed: bytes, tmp_path: Path, server: Server) -> None:
    (tmp_path / "r.toml").write_text(entry(f'address = "{server.address("plain/small.tar")}"', packed))
    assert ss.add_models(tmp_path / "r.toml") == ["small"]
    with pytest.raises(ss.InputError, match="Run `starscale models get small`"):
        ss.load("small")
    assert server.asked == 0


@pytest.mark.parametrize("folder", [True, False])
def test_another_checksum_than_that_of_the_entry_is_refused(
    bundle: Path, packed: bytes, tmp_path: Path, home: Path, folder: bool
) -> None:
    (tmp_path / "small.tar").write_bytes(packed)
    (tmp_path / "r.toml").write_text(entry(f'path = "{bundle if folder else "small.tar"}"', packed + b"x"))
    with pytest.raises(ss.InputError, match="SHA-256"):
        ss.get_model("small", registry=tmp_path / "r.toml")
    assert everything(home) == []


def test_a_name_of_another_model_is_refused_before_anything_is_written(
    bundle: Path, packed: bytes, tmp_path: Path, home: Path
) -> None:
    ss.add_models(bundle, name="small")
    before = everything(home), (home / "registry.toml").read_text()
    (tmp_path / "r.toml").write_text(entry('path = "x.tar"', b"another"))
    for verb in (
        lambda: ss.add_models(tmp_path / "r.toml"),
        lambda: ss.get_model("small", registry=tmp_path / "r.toml"),
    ):
        with pytest.raises(ss.InputError, match=r"stands in .*registry.toml with another checksum"):
            verb()
    assert (everything(home), (home / "registry.toml").read_text()) == before
    # The same model again is no error, and nothing new.
    assert ss.add_models(bundle, name="small") == []


def test_what_the_user_wrote_into_the_registry_stays(bundle: Path, home: Path) -> None:
    ss.add_models(bundle, name="one")
    own = home / "registry.toml"
    own.write_text(own.read_text() + "# mine\n")
    ss.add_models(bundle, name="two")
    assert "# mine" in own.read_text()
    assert {"one", "two"} <= set(ss.list_models()["name"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[models]]\nname = 'a'\n", "labels: is missing"),
        (entry('path = "x.tar"\nlicense = "MIT"', b""), "unknown key.*Did you mean 'licence'"),
        (entry('path = "x.tar"', b"", name="../up"), "String should match pattern"),
        (entry('path = "x.tar"\naddress = "https://x/y.tar"', b""), "either `address` or `path`"),
        (entry("", b""), "either `address` or `path`"),
        (entry('path = "x.tar"', b"") * 2, "more than once: small"),
        (entry('address = "ftp://x/y.tar"', b""), "is not an address that models are read from"),
        (entry('address = "http://example.org/y.tar"', b""), "is not an address that models are read from"),
        (entry('path = "x.tar"', b"").replace('"t"', '"\\u001b[2J"'), "String should match pattern"),
        ("models = ", "is not a registry file"),
    ],
)
def test_a_bad_registry_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ss.InputError, match=said):
        ss.list_models(registry=tmp_path / "r.toml")


def test_a_registry_over_the_network_leads_to_no_file_of_this_machine(server: Server) -> None:
    server.files = {
        "far.toml": entry('address = "file:///etc/passwd"', b"").encode(),
        "near.toml": entry('path = "../plain/small.tar"', b"").encode(),
    }
    with pytest.raises(ss.InputError, match="leads to file:///etc/passwd"):
        ss.list_models(registry=server.address("plain/far.toml"))
    models = ss.list_models(registry=server.address("plain/near.toml"))
    assert models["place"][0] == server.address("plain/small.tar")


def test_a_packed_file_is_no_folder(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "small.tar").write_bytes(packed)
    with pytest.raises(ss.InputError, match=r"`starscale models add .*small.tar` keeps it under a name"):
        ss.load(tmp_path / "small.tar")
    assert ss.add_models(tmp_path / "small.tar") == ["small"]
    assert ss.load("small").labels == ("teff",)
    with pytest.raises(ss.InputError, match=r"file name with \.tar"):
        ss.pack_model("small", tmp_path / "small.zip")


LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
ENTRY = st.builds(
    RegisteredModel,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
    title=LINE,
    path=LINE,
    address=st.none(),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.none() | st.integers(1, 2**30),
    licence=LINE,
    label_scale=LINE,
    surveys=st.lists(LINE, max_size=3),
    labels=st.just(("teff",)),
    mock=st.booleans(),
    figures=st.just(()),
    citation=st.lists(LINE, max_size=2),
    notes=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=50),
)


@settings(max_examples=30)
@given(entries=st.lists(ENTRY, max_size=3, unique_by=lambda entry: entry.name))
def test_an_entry_is_written_as_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, entries: list[RegisteredModel]
) -> None:
    path = tmp_path_factory.getbasetemp() / "entries.toml"
    path.write_text(as_toml(entries), encoding="utf-8")
    assert validate(RegistryFile, load_toml(path), "x").models == tuple(entries)
