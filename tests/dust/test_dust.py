"""E(B-V) of dust maps, against values that follow from how the map was made."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude, SkyCoord
from astropy.io import fits
from cdshealpix import nested, ring
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.dust import api
from starscale.dust.description import load_map, map_names
from starscale.dust.reddening import REDDENING_MEANING, ReddeningFlag, ReddeningMap
from starscale.features.measurements import feature_noise
from starscale.pipeline.learnable import TrainingArrays
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.surveys import load_survey
from starscale.vocabulary.progress import SILENT

GAIA = load_survey("gaia_dr3")
DESCRIPTION = """
name = "small"
title = "a small map"
factor = {factor}
scale = "true"

[healpix]
path = "map.fits"
column = "EBV"
{more}
"""


def described(folder: Path, more: str = "", factor: float = 1.0) -> Path:
    path = folder / "map.toml"
    path.write_text(DESCRIPTION.format(factor=factor, more=more))
    return path


def written(folder: Path, columns: list[fits.Column], **cards: Any) -> None:
    unit = fits.BinTableHDU.from_columns(columns)
    unit.header.update(cards)
    unit.writeto(folder / "map.fits", overwrite=True)


def at(path: Path, ra: Any, dec: Any, distance: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    far = None if distance is None else np.array(distance, dtype=float)
    return ReddeningMap(*load_map(path)).reddening(np.array(ra, dtype=float), np.array(dec, dtype=float), far)


def stars(n: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "source_id": (np.arange(n) + 1) * 2**40,
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
            "d": rng.uniform(1, 3000, n),
        }
    )


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    order=st.integers(0, 4),
    ordering=st.sampled_from(["NESTED", "RING"]),
    frame=st.sampled_from(["G", "C"]),
    layout=st.sampled_from(["cells", "rows of many cells", "a part of the sky"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_cells(tmp_path: Path, order: int, ordering: str, frame: str, layout: str, seed: int) -> None:
    rng, nside, n = np.random.default_rng(seed), 2**order, 50
    values = rng.uniform(0, 2, 12 * nside**2).astype(np.float32)
    kept = np.sort(rng.permutation(len(values))[: len(values) // 2 + 1]) if layout == "a part of the sky" else None
    cards: dict[str, Any] = {"ORDERING": ordering, "COORDSYS": frame, "NSIDE": nside}
    if kept is not None:
        columns = [fits.Column("PIXEL", "J", array=kept), fits.Column("EBV", "E", array=values[kept])]
    elif layout == "rows of many cells":
        columns = [fits.Column("EBV", "6E", array=values.reshape(-1, 6))]
    else:
        columns = [fits.Column("EBV", "E", array=values)]
        del cards["NSIDE"]
    written(tmp_path, columns, **cards)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    where = SkyCoord(ra * u.deg, dec * u.deg)
    lon, lat = (where.galactic.l, where.galactic.b) if frame == "G" else (where.ra, where.dec)
    lon, lat = Longitude(lon), Latitude(lat)
    cell = (
        nested.lonlat_to_healpix(lon, lat, order)
        if ordering == "NESTED"
        else ring.lonlat_to_healpix(lon, lat, nside)
    ).astype(int)
    ebv, error, flag = at(described(tmp_path, 'cell = "PIXEL"' if kept is not None else "", 0.5), ra, dec)
    there = np.ones(n, bool) if kept is None else np.isin(cell, kept)
    np.testing.assert_allclose(ebv, np.where(there, values[cell] * 0.5, np.nan), rtol=1e-6)
    np.testing.assert_array_equal(flag, np.where(there, 0, ReddeningFlag.OUTSIDE_MAP))
    assert np.isnan(error).all()


def test_the_finest_cells(tmp_path: Path) -> None:
    # The last and the first cell of two orders, whose numbers a double cannot tell from their neighbours.
    last, first = 4 * 4**28 + 12 * 4**28 - 1, 4 * 4**29
    columns = [fits.Column("UNIQ", "K", array=[last, first]), fits.Column("EBV", "D", array=[1.0, 2.0])]
    written(tmp_path, columns, ORDERING="NUNIQ", COORDSYS="C")
    lon, lat = nested.healpix_to_lonlat(np.array([12 * 4**29 - 1, 0]), 29)
    ebv, _, _ = at(described(tmp_path, 'cell = "UNIQ"'), lon.deg, lat.deg)
    assert ebv.tolist() == [1.0, 2.0]


def test_cells_of_several_sizes(tmp_path: Path) -> None:
    # Cell 0 of order 0 in four quarters, cell 5 whole; the rest of the sky is not in the map.
    uniq = np.array([4 * 4 + 3, 4 + 5, 4 * 4 + 0, 4 * 4 + 1, 4 * 4 + 2])
    columns = [fits.Column("UNIQ", "K", array=uniq), fits.Column("EBV", "D", array=[3.0, 5.0, 0.0, 1.0, 2.0])]
    written(tmp_path, columns, ORDERING="NUNIQ", COORDSYS="C")
    lon, lat = nested.healpix_to_lonlat(np.array([0, 1, 2, 3, 20, 23, 40]), 1)
    ebv, _, flag = at(described(tmp_path, 'cell = "UNIQ"'), lon.deg, lat.deg)
    np.testing.assert_array_equal(ebv, [0, 1, 2, 3, 5, 5, np.nan])
    assert flag.tolist() == [0] * 6 + [4]


@pytest.fixture
def distances(tmp_path: Path) -> Path:
    """A map of one size of cells, whose E(B-V) at 100, 500 and 2,000 pc is 0.01, 0.05 and 0.2 times the cell."""
    cells = np.arange(12)
    values = np.outer(cells, [0.01, 0.05, 0.2])
    columns = [fits.Column("EBV", "3D", array=values), fits.Column("S", "3D", array=values / 10)]
    written(tmp_path, columns, ORDERING="NESTED", COORDSYS="C")
    return described(tmp_path, 'error = "S"\ndistances = [100, 500, 2000]', factor=2.0)


def test_at_the_distance_of_the_star(distances: Path) -> None:
    lon, lat = (float(x.deg[0]) for x in nested.healpix_to_lonlat(np.array([7]), 0))
    d = [100, 300, 500, 1250, 2000, 50, 9000, np.nan, -1, 300]
    ra = [lon] * 9 + [np.nan]
    ebv, error, flag = at(distances, ra, [lat] * 10, d)
    expected = 14 * np.array([0.01, 0.03, 0.05, 0.125, 0.2, 0.005, 0.2, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(ebv, expected)
    np.testing.assert_allclose(error, expected / 10)
    assert flag.tolist() == [0, 0, 0, 0, 0, 16, 8, 2, 2, 1]


def test_values_that_are_missing(tmp_path: Path) -> None:
    values = np.full(12, 0.1)
    values[3], values[4] = -1.6375e30, np.nan
    written(tmp_path, [fits.Column("EBV", "D", array=values)], ORDERING="NESTED", COORDSYS="C")
    lon, lat = nested.healpix_to_lonlat(np.arange(12), 0)
    ebv, _, flag = at(described(tmp_path), lon.deg, lat.deg)
    assert np.flatnonzero(np.isnan(ebv)).tolist() == np.flatnonzero(flag).tolist() == [3, 4]


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".csv"])
def test_a_table_keeps_its_columns(
    distances: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CHUNK", 30)
    table = stars(100).with_columns(
        name=pl.lit("x"), ra=pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise("ra")
    )
    ss.write(table, path := tmp_path / f"stars{suffix}")
    done = ss.add_reddening(
        path, distances, survey=GAIA, distance="d", output=tmp_path / f"out{suffix}", column="e"
    )
    memory = ss.add_reddening(table, distances, survey=GAIA, distance="d", column="e")
    found, expected = io.read(tmp_path / f"out{suffix}"), memory.table
    assert expected is not None
    assert found.columns == expected.columns == [*table.columns, "e", "e_error", "e_flag"]
    np.testing.assert_allclose(found["e"].to_numpy(), expected["e"].to_numpy())
    assert found["e_flag"].to_list() == expected["e_flag"].to_list()
    assert (done.n_rows, done.n_values) == (memory.n_rows, memory.n_values) == (100, 99)
    far, near = (int((table["d"].to_numpy() > 2000).sum()), int((table["d"].to_numpy() < 100).sum()))
    assert done.flags == {"NO_POSITION": 1, "BEYOND_MAP": far - (table["d"][5] > 2000), "NEARER_THAN_MAP": near}
    assert done.scale == "true"
    if suffix != ".csv":
        about = io.open_table(tmp_path / f"out{suffix}").columns["e"]
        assert (about.unit, about.ucd) == ("mag", "phot.color.excess")
        assert "redden" in io.open_table(tmp_path / f"out{suffix}").metadata["starscale.provenance"]


def test_distances_in_another_unit_and_of_the_survey(distances: Path, tmp_path: Path) -> None:
    table = stars(20)
    ss.write(
        table.with_columns(d=pl.col("d") / 1000),
        path := tmp_path / "kpc.fits",
        columns={"d": ss.Column("d", "float64", "kpc")},
    )
    kpc = ss.add_reddening(path, distances, survey=GAIA, distance="d").table
    pc = ss.add_reddening(table, distances, survey=GAIA, distance="d").table
    assert kpc is not None
    assert pc is not None
    np.testing.assert_allclose(kpc["ebv"].to_numpy(), pc["ebv"].to_numpy())
    role = {"distance": {"value": "d"}, "columns": {**GAIA.model_dump()["columns"], "d": {"unit": "pc"}}}
    own = ss.Survey.model_validate({**GAIA.model_dump(), **role})
    found = ss.add_reddening(table, distances, survey=own).table
    assert found is not None
    assert found.equals(pc)


def test_no_rows(distances: Path) -> None:
    found = ss.add_reddening(stars(3).clear(), distances, survey=GAIA, distance="d")
    assert found.table is not None
    assert (found.table.height, found.n_rows, found.flags) == (0, 0, {})


def test_the_command(distances: Path, tmp_path: Path) -> None:
    ss.write(stars(50), tmp_path / "stars.parquet")
    arguments = [
        "redden",
        tmp_path / "stars.parquet",
        "--map",
        distances,
        "--survey",
        "gaia_dr3",
        "--distance",
        "d",
    ]
    done = CliRunner().invoke(app, [*map(str, arguments), "-o", str(tmp_path / "o.parquet")])
    assert done.exit_code == 0, done.output
    assert "50 of 50 rows with E(B-V) (true) written to" in done.output
    assert "farther than the map reaches" in done.output
    assert "ebv" in io.read(tmp_path / "o.parquet").columns


@pytest.mark.parametrize(
    ("more", "columns", "cards", "said"),
    [
        ("", {"EBV": "D"}, {"ORDERING": "NESTED"}, r"does not state COORDSYS; expected one of galactic, icrs"),
        ("", {"EBV": "D"}, {}, r"(?s)2 problems.*COORDSYS.*ORDERING; expected one of nested, nuniq, ring"),
        ("", {"EBV": "D"}, {"ORDERING": "NESTED", "COORDSYS": "E"}, r"states COORDSYS = 'E'"),
        ("", {"X": "D"}, {"ORDERING": "NESTED", "COORDSYS": "G"}, r"has no column 'EBV'"),
        ("", {"EBV": "3A"}, {"ORDERING": "NESTED", "COORDSYS": "G"}, r"is of type String; expected numbers"),
        (
            "distances = [1, 2]",
            {"EBV": "3D"},
            {"ORDERING": "RING", "COORDSYS": "G"},
            r"has 3 values .* 2 distances",
        ),
        ("distances = [2, 1]", {"EBV": "2D"}, {"ORDERING": "RING", "COORDSYS": "G"}, r"distances must increase"),
        ("", {"EBV": "D"}, {"ORDERING": "RING", "COORDSYS": "G", "NSIDE": 3}, r"NSIDE = 3; expected a power of 2"),
        # A part of the sky without the numbers of its cells.
        (
            "",
            {"EBV": "D"},
            {"ORDERING": "RING", "COORDSYS": "G", "NSIDE": 2},
            r"has 12 cells, and NSIDE = 2 has 48",
        ),
        ("nside = 4", {"EBV": "D"}, {"ORDERING": "NESTED", "COORDSYS": "G"}, r"12 cells.*NSIDE = 4 has 192.*cell"),
        (
            'cell = "P"\nnside = 1',
            {"EBV": "D", "P": "K"},
            {"ORDERING": "RING", "COORDSYS": "G"},
            r"cells that overlap",
        ),
        ('cell = "P"', {"EBV": "D", "P": "K"}, {"ORDERING": "RING", "COORDSYS": "G"}, r"does not state NSIDE"),
        ("path2 = 1", {"EBV": "D"}, {}, r"path2: unknown key"),
        ('cell = "P"', {"EBV": "D", "P": "D"}, {"ORDERING": "NUNIQ", "COORDSYS": "G"}, r"is of type Float64"),
        ('cell = "P"', {"EBV": "D", "P": "K"}, {"ORDERING": "NUNIQ", "COORDSYS": "G"}, r"cells that do not exist"),
    ],
)
def test_a_map_that_cannot_be_used(
    tmp_path: Path, more: str, columns: dict[str, str], cards: dict[str, Any], said: str
) -> None:
    kinds = [
        fits.Column(name, form, array=["a"] * 12 if "A" in form else np.zeros((12, int(form[:-1] or 1))).squeeze())
        for name, form in columns.items()
    ]
    written(tmp_path, kinds, **cards)
    with pytest.raises(ss.InputError, match=said):
        ss.add_reddening(stars(3), described(tmp_path, more), survey=GAIA, distance="d")


def test_a_map_without_rows(tmp_path: Path) -> None:
    written(tmp_path, [fits.Column("EBV", "D", array=[])], ORDERING="RING", COORDSYS="G")
    with pytest.raises(ss.InputError, match="has no rows"):
        ReddeningMap(*load_map(described(tmp_path)))


def test_what_else_is_refused(distances: Path, tmp_path: Path) -> None:
    ss.write(stars(3), path := tmp_path / "stars.parquet")
    with pytest.raises(ss.InputError, match=r"needs distances, and survey gaia_dr3 describes none.*--distance"):
        ss.add_reddening(path, distances, survey=GAIA)
    with pytest.raises(ss.InputError, match="'r_med_geo'"):
        ss.add_reddening(path, distances, survey=GAIA, distance="r_med_geo")
    table = pl.DataFrame({"source_id": [1], "ra": [1.0], "dec": [2.0], "parallax": [5.0]})
    with pytest.raises(ss.InputError, match=r"column 'distance_parallax': is missing"):
        ss.add_reddening(table, distances, survey="gaia_dr4")
    with pytest.raises(ss.InputError, match=r"column 'd': is of type String; expected distances in pc"):
        ss.add_reddening(stars(3).cast({"d": pl.String}), distances, survey=GAIA, distance="d")
    with pytest.raises(ss.InputError, match="describes no positions"):
        ss.add_reddening(path, distances, survey="bailer_jones_edr3")
    with pytest.raises(ss.InputError, match=r"has columns called ra already.*--column"):
        ss.add_reddening(path, distances, survey=GAIA, distance="d", column="ra")
    with pytest.raises(ss.InputError, match=r"'edenhofer': unknown name.*edenhofer2023"):
        ss.add_reddening(path, "edenhofer", survey=GAIA)
    with pytest.raises(ss.InputError, match="is the input and the output"):
        ss.add_reddening(path, distances, survey=GAIA, distance="d", output=path)
    (tmp_path / "map.toml").write_text('name = "a"\ntitle = "a"\nfactor = -1\nscale = "true"\n')
    with pytest.raises(ss.InputError, match="factor"):
        ss.add_reddening(path, tmp_path / "map.toml", survey=GAIA)


class StandIn:
    """What dustmaps is expected to do."""

    def __init__(self, **arguments: Any) -> None:
        sys.stdout.write("Loading ...")
        self.arguments = arguments
        self.distances = np.array([0.1, 2.0]) * u.kpc

    def __call__(self, there: SkyCoord, mode: str = "mean") -> np.ndarray:
        sys.stdout.write("querying ...")
        value = there.dec.deg / 1000
        return value if mode == "std" else value * there.distance.to_value(u.pc)


def stand_in(monkeypatch: pytest.MonkeyPatch, query: type, module: str, name: str) -> None:
    package, inner = ModuleType("dustmaps"), ModuleType(module)
    setattr(inner, name, query)
    monkeypatch.setitem(sys.modules, "dustmaps", package)
    monkeypatch.setitem(sys.modules, module, inner)
    monkeypatch.setattr("starscale.dust.query.find_spec", lambda name: object())


def test_a_map_of_dustmaps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, StandIn, "dustmaps.bayestar", "BayestarQuery")
    ebv, error, flag = at(
        Path("bayestar19"), [1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0], [500, 50, 4000, np.nan]
    )
    np.testing.assert_allclose(ebv, 0.884 * np.array([5.0, 1.0, 60.0, np.nan]))
    assert np.isnan(error).all()
    assert flag.tolist() == [0, 16, 8, 2]
    assert capsys.readouterr() == ("", "")


def test_an_error_of_dustmaps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (
        'name = "a"\ntitle = "a"\nfactor = 2\nscale = "sfd"\n[dustmaps]\nmodule = "dustmaps.a"\nquery = "AQuery"\n'
    )
    (tmp_path / "a.toml").write_text(text + 'error_call = { mode = "std" }\nneeds_distance = true\n')
    stand_in(monkeypatch, StandIn, "dustmaps.a", "AQuery")
    _, error, _ = at(tmp_path / "a.toml", [1.0], [10.0], [500.0])
    np.testing.assert_allclose(error, 0.02)

    class Missing:
        def __init__(self, **arguments: Any) -> None:
            raise OSError("no data file\nmore")

    stand_in(monkeypatch, Missing, "dustmaps.a", "AQuery")
    with pytest.raises(ss.InputError, match=r"dustmaps.a.AQuery: cannot be used \(no data file\).*fetch"):
        at(tmp_path / "a.toml", [1.0], [10.0], [500.0])
    stand_in(monkeypatch, object, "dustmaps.a", "BQuery")
    with pytest.raises(ss.InputError, match="cannot be imported"):
        at(tmp_path / "a.toml", [1.0], [10.0], [500.0])


@pytest.mark.parametrize("name", map_names())
def test_without_dustmaps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.dust.query.find_spec", lambda name: None)
    about, _ = load_map(name)
    assert about.name == name
    assert about.dustmaps is not None
    with pytest.raises(ss.InputError, match=r"needs the package dustmaps.*pip install 'starscale\[dust\]'"):
        ss.add_reddening(stars(2), name, survey=GAIA, distance="d")


def test_only_queries_of_dustmaps_are_loaded(tmp_path: Path) -> None:
    text = 'name = "a"\ntitle = "a"\nfactor = 1\nscale = "sfd"\n[dustmaps]\nmodule = "{}"\nquery = "{}"\n'
    for module, query in (("os", "AQuery"), ("dustmaps.a", "system"), ("dustmaps..os", "AQuery")):
        (tmp_path / "a.toml").write_text(text.format(module, query))
        with pytest.raises(ss.InputError, match="should match pattern"):
            load_map(tmp_path / "a.toml")


def test_the_page_lists_flags_and_maps() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dust.md").read_text()
    for bit, meaning in REDDENING_MEANING.items():
        assert f"| {int(bit)} | {meaning} |" in page
    for name in map_names():
        about, _ = load_map(name)
        factor = "the value" if about.factor == 1 else f"{about.factor:g} times the value"
        assert re_row(page, name, factor, about.scale)


def re_row(page: str, name: str, factor: str, scale: str) -> bool:
    return any(
        line.startswith(f"| `{name}` | {factor}") and line.endswith(f"| {scale} |") for line in page.splitlines()
    )


@pytest.mark.slow
def test_the_error_of_a_map_reaches_the_training(sky: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = [fits.Column(name, "D", array=rng.uniform(0.05, 0.3, 12 * 64)) for name in ("EBV", "S")]
    written(tmp_path, columns, ORDERING="NESTED", COORDSYS="G")
    gaia = sky / "mock" / "gaia_dr3.parquet"
    found = described(tmp_path, 'error = "S"')
    ss.add_reddening(gaia, found, survey="gaia_dr3", output=tmp_path / "gaia.parquet")
    text = (Path(ss.__file__).parent / "surveys" / "gaia_dr3.toml").read_text()
    ends = text.index("[columns]")
    role = '[reddening]\ncolumn = "ebv"\nerror = "ebv_error"\nscale = "true"\n\n[columns]\n'
    role += 'ebv = { unit = "mag" }\nebv_error = { unit = "mag" }'
    (tmp_path / "gaia_dr3.toml").write_text(text[:ends] + role + text[ends + len("[columns]") :])
    run_file = (sky / "run.toml").read_text().replace("mock/", f"{sky}/mock/")
    run_file = run_file.replace('"gaia_dr3"', '"gaia_dr3.toml"').replace(str(gaia), "gaia.parquet")
    (tmp_path / "run.toml").write_text(run_file)
    config, base = load_run(tmp_path / "run.toml")
    run = plan(config, base)
    RunSteps(run, tmp_path / "run", "run.toml", SILENT).training_set()
    arrays = TrainingArrays.of(run, io.read(tmp_path / "run" / "training.parquet"))
    measured = {m.name: m for m in arrays.measurements}
    assert measured["reddening"].errors == {"ebv": ("ebv_error",)}
    with_noise = feature_noise(arrays.table, arrays.features, [measured["reddening"]], arrays.x, seed=1)
    assert with_noise is not None
    moved = {f.name for f, noise in zip(arrays.features, with_noise.std(axis=(0, 1)), strict=True) if noise > 0}
    assert {"skymapper_dr2.M_u", "gaia_dr3.M_G", "log_reddening"} <= moved
    assert "skymapper_dr2.u-v" not in moved
