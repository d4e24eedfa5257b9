"""Tables of one file that belong together are read as one table."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import VOTableFile
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import starscale as ss
from starscale import io
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.surveys import Survey
from starscale.tables import stream
from starscale.vocabulary.progress import SILENT

STARS = {
    "RVTAB": Table({"TARGETID": [1, 2, 3], "TEFF": [4500.0, 5000.0, 5800.0], "RVS_WARN": [0, 1, 0]}),
    "SPTAB": Table(
        {"TARGETID": [1, 2, 3], "TEFF": [4510.0, 5010.0, 5810.0], "COVAR": np.arange(75.0).reshape(3, 5, 5)}
    ),
    "FIBERMAP": Table({"TARGET_RA": [10.0, 11.0, 12.0], "TARGET_DEC": [1.0, 2.0, 3.0]}),
}
DESI = {
    "name": "mock",
    "title": "mock of five tables",
    "kind": "spectroscopic",
    "tables": ["RVTAB", "SPTAB", "FIBERMAP"],
    "id": {"column": "targetid"},
    "position": {"ra": "ra", "dec": "dec"},
    "cuts": [{"name": "warn", "keep": "rvs_warn = 0"}],
    "columns": {
        "targetid": {"dtype": "int64", "aliases": ["RVTAB.TARGETID"]},
        "ra": {"unit": "deg", "aliases": ["FIBERMAP.TARGET_RA"]},
        "dec": {"unit": "deg", "aliases": ["FIBERMAP.TARGET_DEC"]},
        "teff": {"unit": "K", "aliases": ["RVTAB.TEFF"]},
        "sp_teff": {"unit": "K", "aliases": ["SPTAB.TEFF"]},
        "sp_teff_variance": {"unit": "K2", "aliases": ["SPTAB.COVAR[0,0]"]},
        "rvs_warn": {"dtype": "int64", "aliases": ["RVTAB.RVS_WARN"]},
    },
}
SURVEY = Survey.model_validate(DESI)


def written(path: Path, tables: dict[str, Table]) -> Path:
    units = [fits.BinTableHDU(table, name=name) for name, table in tables.items()]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path, checksum=True, overwrite=True)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "mws.fits", STARS)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_as_astropy_stacks(tmp_path: Path, data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 30))
    names = data.draw(st.lists(st.sampled_from(["A", "B1", "SPTAB", "X Y"]), min_size=2, unique_by=str.lower))
    kinds = st.sampled_from([np.float64, np.float32, np.int64, np.int16])
    columns = st.lists(st.sampled_from(["TEFF", "LOGG", "id"]), min_size=1, unique=True)
    tables = {name: Table() for name in names}
    for table in tables.values():
        for column in data.draw(columns):
            table[column] = data.draw(hnp.arrays(data.draw(kinds), rows, elements=st.integers(0, 99)))
    path = written(tmp_path / "t.fits", tables)
    chosen = data.draw(st.permutations(names))
    expected = {f"{name}.{c}": tables[name][c] for name in chosen for c in tables[name].colnames}
    by = data.draw(st.sampled_from([chosen, [str(names.index(name) + 1) for name in chosen]]))
    source = io.open_table(f"{path}#{'+'.join(by)}")
    assert (list(source.schema), source.n_rows) == (list(expected), rows)
    wanted = data.draw(st.lists(st.sampled_from(list(expected)), min_size=1, unique=True))
    skip = data.draw(st.integers(0, rows))
    frames = list(source.batches(data.draw(st.integers(1, 40)), wanted, skip=skip))
    for name in wanted:
        found = np.concatenate([np.zeros(0), *(frame[name].to_numpy() for frame in frames)])
        np.testing.assert_array_equal(found, expected[name][skip:])


def test_a_survey_names_the_tables(path: Path) -> None:
    read = ss.read(path, survey=SURVEY)
    assert read["teff"].to_list() == [4500.0, 5000.0, 5800.0]
    assert read["sp_teff"].to_list() == [4510.0, 5010.0, 5810.0]
    assert read["sp_teff_variance"].to_list() == [0.0, 25.0, 50.0]
    assert "SPTAB.TARGETID" in read.columns
    # The path goes before.
    alone = ss.read(f"{path}#SPTAB", survey=SURVEY)
    assert alone["teff"].to_list() == [4510.0, 5010.0, 5810.0]
    assert any("7 of the 7 columns" in line for line in ss.check(path, survey=SURVEY))


def test_one_of_several_tables(tmp_path: Path) -> None:
    path = written(tmp_path / "allstar.fits", {"BOSS": STARS["FIBERMAP"][:2], "APOGEE": STARS["RVTAB"]})
    survey = SURVEY.model_copy(update={"tables": ("2",)})
    assert ss.read(path, survey=survey)["teff"].to_list() == [4500.0, 5000.0, 5800.0]
    cleaned = ss.clean(path, survey=survey, output=tmp_path / "clean.fits")
    assert (cleaned.attrition.n_in, cleaned.attrition.n_out) == (3, 2)
    # What was cleaned has one table, which is read as it is.
    assert ss.read(tmp_path / "clean.fits", survey=survey)["teff"].to_list() == [4500.0, 5800.0]
    with pytest.raises(ss.InputError, match="column 'targetid': is missing"):
        ss.read(f"{path}#1", survey=survey)


def test_converted_to_one_table(path: Path, tmp_path: Path) -> None:
    joined = io.read(f"{path}#1+2+3")
    for suffix in (".parquet", ".fits", ".vot"):
        # A VOTable has no room for matrices.
        columns = [name for name in joined.columns if suffix != ".vot" or name != "SPTAB.COVAR"]
        ss.convert(f"{path}#RVTAB+SPTAB+FIBERMAP", output := tmp_path / f"one{suffix}", columns=columns)
        assert io.read(output).equals(joined.select(columns))
        found = ss.read(output, survey=SURVEY)
        assert found.equals(ss.read(path, survey=SURVEY).select(found.columns))


def test_cleaned_and_matched(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK", 2)
    cleaned = ss.clean(path, survey=SURVEY, output=tmp_path / "clean.parquet")
    assert (cleaned.attrition.n_in, cleaned.attrition.n_out) == (3, 2)
    gaia = pl.DataFrame({"source_id": [4295806720, 34361129088], "ra": [10.0, 12.0], "dec": [1.0, 3.0]})
    found = ss.match(gaia, path, left_survey="gaia_dr3", right_survey=SURVEY)
    assert found.pairs["original_ext_source_id"].to_list() == [1, 3]


def test_votable(tmp_path: Path) -> None:
    document = VOTableFile()
    for name, table in STARS.items():
        resource = from_table(table).resources[0]
        resource.tables[0].name = name
        document.resources.append(resource)
    document.to_xml(str(tmp_path / "t.vot"))
    written(tmp_path / "t.fits", STARS)
    for part in ("RVTAB+SPTAB", "3+1"):
        assert io.read(f"{tmp_path}/t.vot#{part}").equals(io.read(f"{tmp_path}/t.fits#{part}"))
    assert ss.read(tmp_path / "t.vot", survey=SURVEY).equals(ss.read(tmp_path / "t.fits", survey=SURVEY))


def test_a_folder_of_such_files(tmp_path: Path) -> None:
    for number in (1, 2):
        written(tmp_path / f"part{number}.fits", {name: table[: number + 1] for name, table in STARS.items()})
    assert io.read(f"{tmp_path}/part*.fits#RVTAB+SPTAB")["SPTAB.TEFF"].to_list() == [
        4510.0,
        5010.0,
        4510.0,
        5010.0,
        5810.0,
    ]
    assert ss.read(tmp_path / "part2.fits", survey=SURVEY).height == 3


def test_a_name_with_a_plus(tmp_path: Path) -> None:
    path = written(tmp_path / "t.fits", {"A+B": STARS["RVTAB"], "A": STARS["SPTAB"]})
    assert io.read(f"{path}#A+B").columns == ["TARGETID", "TEFF", "RVS_WARN"]
    assert io.read(f"{path}#1+2").columns[:2] == ["A+B.TARGETID", "A+B.TEFF"]


def test_two_tables_of_one_name(tmp_path: Path) -> None:
    units = [fits.BinTableHDU(STARS[name], name="T", ver=i + 1) for i, name in enumerate(("RVTAB", "SPTAB"))]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "t.fits")
    assert io.read(f"{tmp_path}/t.fits#1+2")["2.TEFF"].to_list() == [4510.0, 5010.0, 5810.0]


def test_what_is_refused(path: Path, tmp_path: Path) -> None:
    uneven = written(tmp_path / "uneven.fits", {**STARS, "SPTAB": STARS["SPTAB"][:2]})
    only = written(tmp_path / "only.fits", {"rvtab": STARS["RVTAB"]})
    ss.write(ss.read(path, survey=SURVEY), tmp_path / "t.csv")
    for table, said in {
        f"{uneven}#RVTAB+SPTAB": r"different length \(rows: RVTAB 3, SPTAB 2\)",
        f"{path}#RVTAB+PHOT+GAIA": r"(?s)2 problems.*#PHOT: no such extension.*1 RVTAB; 2 SPTAB.*#GAIA",
        f"{path}#RVTAB+RVTAB": r"names a table twice \(RVTAB\)",
        f"{path}#RVTAB+": "no such extension; expected one of: 0 PRIMARY; 1 RVTAB",
        f"{tmp_path}/t.csv#A+B": "a CSV file holds one table only",
        f"{tmp_path}/none.fits#A+B": "no such file",
    }.items():
        with pytest.raises(ss.InputError, match=said):
            io.open_table(table)
    for call in (ss.read, ss.check):
        with pytest.raises(ss.InputError, match=r"different length \(rows: RVTAB 3, SPTAB 2, FIBERMAP 3\)"):
            call(uneven, survey=SURVEY)
        # Only some of the tables were copied: TEFF could be that of either pipeline.
        with pytest.raises(ss.InputError, match=r"(?s)#SPTAB: no such extension.*#FIBERMAP"):
            call(only, survey=SURVEY)


def test_the_sums_of_every_table_are_verified(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    place = raw.index(np.array(5010.0, ">f8").tobytes())
    raw[place + 7] ^= 1
    path.write_bytes(raw)
    assert io.read(f"{path}#RVTAB+SPTAB", columns=["RVTAB.TEFF"]).height == 3
    with pytest.raises(ss.InputError, match=r"mws.fits#2: fails its checksum"):
        io.read(f"{path}#RVTAB+SPTAB")
    with pytest.raises(ss.InputError, match=r"mws.fits#2: fails its checksum"):
        ss.clean(path, survey=SURVEY, output=path.with_name("o.parquet"))
    ss.convert(f"{path}#RVTAB+SPTAB", path.with_name("o.parquet"), verify=False)


def test_a_table_of_a_file_in_a_path(path: Path, tmp_path: Path) -> None:
    whole = io.checksum(path)
    assert io.checksum(f"{path}#RVTAB+SPTAB") == io.checksum(f"{path}#2") == whole
    assert io.state_of(f"{path}#2") == io.state_of(path)
    with pytest.raises(ss.InputError, match="is the input and the output"):
        ss.convert(f"{path}#2", path)
    assert ss.clean(f"{path}#1+2+3", survey=SURVEY, output=tmp_path / "o.parquet").attrition.n_out == 2


def test_fluxes_in_vectors_and_an_identifier_of_three_columns(tmp_path: Path) -> None:
    n = 40
    ids = Table(
        {"RELEASE": np.full(n, 9010, "i4"), "BRICKID": np.arange(n, dtype="i4"), "OBJID": np.ones(n, "i4")}
    )
    ids["RA"], ids["DEC"] = np.linspace(1, 2, n), np.linspace(-2, -1, n)
    flux = np.random.default_rng(1).normal(2.0, 3.0, (n, 3))
    photometry = Table({"FLUX": flux, "FLUX_IVAR": np.full((n, 3), 4.0)})
    path = written(tmp_path / "tractor.fits", {"IDS": ids, "PHOT": photometry})
    of = {name: {"dtype": "int64", "aliases": [f"IDS.{name}"]} for name in ("release", "brickid", "objid")}
    band = {"magnitude": "g_mag", "error": "g_err", "flux": "flux_g", "flux_ivar": "ivar_g", "zero_point": 22.5}
    survey = Survey.model_validate(
        {
            "name": "mock",
            "title": "mock",
            "kind": "photometric",
            "tables": ["IDS", "PHOT"],
            "id": {"column": "ls_id"},
            "position": {"ra": "ra", "dec": "dec", "epoch": {"default": 2016.0}},
            "bands": {"g": {**band, "wavelength": 480, "softening": 0.1}},
            "columns": {
                **of,
                "ls_id": {"dtype": "int64", "expression": "release * 10000000 + brickid * 100 + objid"},
                "ra": {"unit": "deg", "aliases": ["IDS.RA"]},
                "dec": {"unit": "deg", "aliases": ["IDS.DEC"]},
                "flux_g": {"unit": "nmgy", "aliases": ["PHOT.FLUX[1]"]},
                "ivar_g": {"unit": "nmgy-2", "aliases": ["PHOT.FLUX_IVAR[1]"]},
            },
        }
    )
    expected = 22.5 - 2.5 * np.log10(0.1) - 2.5 / np.log(10) * np.arcsinh(flux[:, 1] / 0.2)
    assert any("PHOT.FLUX (length 3)" in line for line in ss.check(path, survey=survey))
    ss.clean(path, survey=survey, output=tmp_path / "clean.parquet")
    for read in (ss.read(path, survey=survey), ss.read(tmp_path / "clean.parquet", survey=survey)):
        np.testing.assert_allclose(read["g_mag"].to_numpy(), expected)
        assert read["ls_id"].to_list() == [90100000001 + 100 * i for i in range(n)]
    gaia = pl.DataFrame({"source_id": (np.arange(n) + 1) * 2**40, "ra": ids["RA"].data, "dec": ids["DEC"].data})
    found = ss.match(gaia, path, left_survey="gaia_dr3", right_survey=survey)
    assert found.pairs["original_ext_source_id"].to_list() == read["ls_id"].to_list()


def _divided(table: Path, folder: Path) -> dict[str, str]:
    """Write a table in two extensions of galah.fits; return the alias of every column."""
    names = io.open_table(table).columns
    halves = {"RVTAB": list(names)[: len(names) // 2], "GAIA": list(names)[len(names) // 2 :]}
    units = []
    for name, columns in halves.items():
        ss.convert(table, folder / f"{name}.fits", columns=columns)
        with fits.open(folder / f"{name}.fits", memmap=False) as file:
            units.append(file[1].copy())
        units[-1].name = name
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(folder / "galah.fits", checksum=True)
    return {column: f"{name}.{column}" for name, columns in halves.items() for column in columns}


def _survey_file(name: str, folder: Path, first: str, aliases: dict[str, str]) -> None:
    text = (Path(ss.__file__).parent / "surveys" / f"{name}.toml").read_text()
    head, text = text.split("[columns]")
    for column, alias in aliases.items():
        text = re.sub(rf"(?m)^{column} = \{{ ", f'{column} = {{ aliases = ["{alias}"], ', text)
    (folder / f"{name}.toml").write_text(f"{first}\n{head}[columns]{text}")


@pytest.mark.slow
def test_a_run_learns_from_the_same_stars(sky: Path, tmp_path: Path) -> None:
    labels, mags = sky / "mock" / "galah_dr3.parquet", sky / "mock" / "skymapper_dr2.parquet"
    _survey_file("galah_dr3", tmp_path, 'tables = ["RVTAB", "GAIA"]', _divided(labels, tmp_path))
    bands = [f"{band}_psf" for band in "uvgriz"]
    stars = io.read(mags).with_columns(mag=pl.concat_arr(bands)).drop(bands)
    ss.write(stars, tmp_path / "skymapper.fits", like=mags)
    _survey_file("skymapper_dr2", tmp_path, "", {band: f"mag[{i}]" for i, band in enumerate(bands)})
    text = (sky / "run.toml").read_text().replace("mock/", f"{sky}/mock/")
    (tmp_path / "usual.toml").write_text(text)
    for name, file, old in (("galah_dr3", "galah.fits", labels), ("skymapper_dr2", "skymapper.fits", mags)):
        text = text.replace(f'"{name}"', f'"{name}.toml"').replace(str(old), str(tmp_path / file))
    (tmp_path / "divided.toml").write_text(text)
    found = []
    for name in ("usual", "divided"):
        config, base = load_run(tmp_path / f"{name}.toml")
        RunSteps(plan(config, base), tmp_path / name, "run.toml", SILENT).training_set()
        found.append(io.read(tmp_path / name / "training.parquet"))
    assert found[0].height > 50
    assert found[0].equals(found[1].select(found[0].columns))
