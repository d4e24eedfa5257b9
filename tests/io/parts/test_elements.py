"""Elements of vector columns as columns of a survey, in every format and wherever a survey reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support.small_model import SURVEY, small_model, small_stars

import starscale as ss
from starscale.io.parts.elements import Element, element_of
from starscale.model.model import Model
from starscale.surveys import Survey
from starscale.tables.opening import refuse_elements
from starscale.tables.stream import pieces

Writer = Callable[[Table, Path], Path]


def survey(**columns: tuple[str, ...]) -> Survey:
    """A survey whose columns have these names in tables."""
    described = {name: {"aliases": aliases} for name, aliases in columns.items()}
    ids = {"source_id": {"dtype": "int64"}}
    data = {"name": "mock", "title": "mock", "kind": "photometric", "id": {"column": "source_id"}}
    return Survey.model_validate({**data, "columns": {**ids, **described}})


def by_astropy(suffix: str, **options: Any) -> Writer:
    def write(table: Table, folder: Path) -> Path:
        table.write(path := folder / f"t{suffix}", overwrite=True, **options)
        return path

    return write


def as_lists(table: Table, folder: Path) -> Path:
    """Parquet with lists of varying length, as pandas and archives write them."""
    columns = {name: pa.array(table[name].tolist()) for name in table.colnames}
    pq.write_table(pa.table(columns), path := folder / "t.parquet")
    return path


WRITERS: dict[str, Writer] = {
    "fits": by_astropy(".fits"),
    "votable": by_astropy(".vot", format="votable"),
    "ecsv": by_astropy(".ecsv"),
    "parquet": as_lists,
}


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_as_numpy_counts(tmp_path: Path, form: str, data: st.DataObject) -> None:
    # astropy writes the axes of a matrix to a VOTable in the order of numpy, against the standard.
    matrices = form != "votable"
    shape = data.draw(st.tuples(*[st.integers(2, 5)] * data.draw(st.integers(1, 1 + matrices))))
    rows = data.draw(st.integers(1, 5))
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.int32]))
    numbers = st.integers(-1000, 1000)
    values = data.draw(hnp.arrays(dtype, (rows, *shape), elements=numbers))
    index = tuple(data.draw(st.integers(0, length - 1)) for length in shape)
    table = Table({"source_id": np.arange(rows), "Values": values, "other": np.ones(rows)})
    path = WRITERS[form](table, tmp_path)
    read = ss.read(path, survey=survey(one=(f"values[{','.join(map(str, index))}]",)))
    assert read.columns == ["source_id", "other", "one"]
    np.testing.assert_array_equal(read["one"].to_numpy(), values[(slice(None), *index)])
    memory = ss.read(table, survey=survey(one=(f"values[{','.join(map(str, index))}]",)))
    np.testing.assert_array_equal(memory["one"].to_numpy(), read["one"].to_numpy())


def test_units_and_missing_values(tmp_path: Path) -> None:
    table = Table({"source_id": [1, 2, 3], "m": [[1.0, 2000.0], [np.nan, -99.0], [3.0, 4000.0]]})
    table["m"].unit = "mas"
    table.write(tmp_path / "t.fits")
    of = survey(first=("m[0]",), second=("M[1]",), vector=())
    of = of.model_copy(
        update={"columns": {**of.columns, "second": of.columns["second"].model_copy(update={"unit": "arcsec"})}}
    )
    of = of.model_copy(update={"sentinels": (-99.0,)})
    read = ss.read(tmp_path / "t.fits", survey=of)
    assert read["first"].to_list() == [1.0, None, 3.0]
    assert read["second"].to_list() == [2.0, None, 4.0]


def test_missing_and_empty_vectors_have_no_elements(tmp_path: Path) -> None:
    pq.write_table(pa.table({"source_id": [1, 2, 3], "m": [[1.0, 2.0], None, []]}), path := tmp_path / "t.parquet")
    assert ss.read(path, survey=survey(one=("m[1]",)))["one"].to_list() == [2.0, None, None]


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        ("m[12]", r"column 'm': has no element m\[12\] \(length 12\); expected a number from 0 to 11"),
        ("m[-1]", r"no element m\[-1\] \(length 12\)"),
        ("m[0,0]", r"has 1 axes \(length 12\), and m\[0,0\] has 2"),
        ("x[0]", r"column 'x': is no vector \(Float64\)"),
    ],
)
def test_an_element_that_does_not_exist(tmp_path: Path, alias: str, said: str) -> None:
    table = Table({"source_id": [1], "m": np.zeros((1, 12)), "x": [1.0]})
    table.write(path := tmp_path / "t.fits")
    for call in (
        lambda: ss.read(path, survey=survey(one=(alias,))),
        lambda: ss.check(path, survey=survey(one=(alias,))),
        lambda: ss.read(table, survey=survey(one=(alias,))),
        lambda: ss.clean(path, survey=survey(one=(alias,)), output=tmp_path / "o.parquet"),
    ):
        with pytest.raises(ss.InputError, match=said):
            call()
    # Another name of the column that is there goes before.
    assert ss.read(path, survey=survey(one=(alias, "x")))["one"].to_list() == [1.0]
    assert not (tmp_path / "o.parquet").exists()


def test_a_list_that_is_too_short_in_one_row(tmp_path: Path) -> None:
    lists = pa.table({"source_id": [1, 2], "m": [[1.0, 2.0], [1.0]]})
    pq.write_table(lists, path := tmp_path / "t.parquet")
    with pytest.raises(
        ss.InputError, match=r"t.parquet, column 'm': has no element m\[1\] \(length 1 in 1 rows\)"
    ):
        ss.read(path, survey=survey(one=("m[1]",)))


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=2), rows=st.integers(1, 4), stated=st.integers(2, 26)
)
def test_vectors_of_another_length_are_refused(
    tmp_path: Path, form: str, shape: list[int], rows: int, stated: int
) -> None:
    shape = shape[:1] if form == "votable" else shape
    values = np.arange(rows * np.prod(shape), dtype=float).reshape(rows, *shape)
    path = WRITERS[form](Table({"source_id": np.arange(rows), "Values": values}), tmp_path)
    of = survey(one=(f"values[{','.join('1' * len(shape))}]",))
    right = of.model_copy(update={"vectors": {"values": int(np.prod(shape))}})
    expected = values[(slice(None), *[1] * len(shape))]
    np.testing.assert_array_equal(ss.read(path, survey=right)["one"].to_numpy(), expected)
    if stated != np.prod(shape):
        other = of.model_copy(update={"vectors": {"values": stated}})
        with pytest.raises(ss.InputError, match=f"'Values': has vectors of .*expected length {stated}, as the"):
            ss.read(path, survey=other)


def test_one_vector_of_another_length_is_refused_with_its_number_of_rows(tmp_path: Path) -> None:
    lists = pa.table({"source_id": [1, 2, 3], "m": [[1.0, 2.0], [1.0, 2.0, 3.0], None]})
    pq.write_table(lists, path := tmp_path / "t.parquet")
    of = survey(one=("m[1]",)).model_copy(update={"vectors": {"M": 2}})
    with pytest.raises(ss.InputError, match=r"'m': has vectors of length 3 in 1 of 3 rows; expected length 2"):
        ss.read(path, survey=of)
    with pytest.raises(ss.InputError, match=r"has vectors of length 3 in 1 of 3 rows"):
        ss.clean(path, survey=of, output=tmp_path / "o.parquet")


def test_names_that_only_look_like_elements() -> None:
    table = pl.DataFrame({"source_id": [1], "v[3]": [7.0], "mass[Msun]": [1.0], "v": [[1.0, 2.0]]})
    read = ss.read(table, survey=survey(speed=("v[3]",), mass=("mass[Msun]",)))
    assert (read["speed"].item(), read["mass"].item(), read["v"].to_list()) == (7.0, 1.0, [[1.0, 2.0]])
    assert element_of("a[b]") is None
    assert element_of("GES[Fe/H][ 1, 2 ]") == Element("GES[Fe/H]", (1, 2))


def test_check_lists_vectors_with_their_lengths(tmp_path: Path) -> None:
    Table({"source_id": [1], "m": np.zeros((1, 12)), "c": np.zeros((1, 5, 5))}).write(path := tmp_path / "t.fits")
    lists = pa.table({"source_id": [1, 2, 3], "bp": [[1.0] * 55, None, [1.0] * 51], "rp": [[1.0] * 55] * 3})
    pq.write_table(lists, tmp_path / "t.parquet")
    for of in (None, survey(one=("m[3]",))):
        said = "vector columns: m (length 12), c (5 x 5); a survey file names an element as m[0]"
        assert said in ss.check(path, survey=of)
    assert any("bp (lengths 51 to 55), rp (length 55)" in line for line in ss.check(tmp_path / "t.parquet"))


def test_other_archives_and_users_name_elements_too(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"source_id": [1, 2], "M": [[1.0, 2.0], [3.0, 4.0]]}, schema_overrides={"M": pl.Array(pl.Float64, 2)}
    )
    of = survey(one=())
    assert ss.read(table, survey=of, rename={"one": "M[1]"})["one"].to_list() == [2.0, 4.0]
    ss.write(table, tmp_path / "t.vot")
    named = Survey.model_validate(
        {**of.model_dump(), "names": {"vizier": {"source_id": "source_id", "one": "M[0]"}}}
    )
    assert ss.read(tmp_path / "t.vot", survey=named)["one"].to_list() == [1.0, 3.0]


def with_vectors(tmp_path: Path) -> tuple[Model, pl.DataFrame, Path]:
    """The small model, whose bands stand in a vector; its stars as usual, and as FITS with a vector."""
    stars = small_stars(300)
    table = Table({name: stars[name].to_numpy() for name in stars.columns if name not in "gr"})
    table["mag"] = np.column_stack([np.zeros(300), stars["g"].to_numpy(), stars["r"].to_numpy()])
    table.write(path := tmp_path / "stars.fits")
    columns = dict(SURVEY.columns)
    for band, place in (("g", 1), ("r", 2)):
        columns[band] = columns[band].model_copy(update={"aliases": (f"MAG[{place}]",)})
    model = small_model()
    model = Model(
        model.predictor,
        model.features,
        model.inputs.model_copy(update={"columns": columns}),
        model.labels,
        cuts=model.cuts,
        magnitude=model.magnitude,
        magnitude_range=model.magnitude_range,
    )
    return model, stars, path


def test_a_prediction_is_the_same(tmp_path: Path) -> None:
    model, stars, path = with_vectors(tmp_path)
    expected = small_model().predict(stars)
    found = [model.predict(path), model.predict(Table.read(path)), model.predict(ss.read(path))]
    model.save(tmp_path / "model", card="")
    ss.predict(tmp_path / "model", path, output=tmp_path / "o.parquet", chunk=64)
    found.append(ss.read(tmp_path / "o.parquet").select(expected.columns))
    for table in found:
        assert table["source_id"].equals(expected["source_id"])
        np.testing.assert_allclose(table["teff"].to_numpy(), expected["teff"].to_numpy(), rtol=1e-6)


def test_cleaned_in_pieces_as_at_once(tmp_path: Path) -> None:
    model, _, path = with_vectors(tmp_path)
    found = pl.concat(pieces(path, model.inputs, rows=37))
    assert found.equals(ss.read(path, survey=model.inputs))
    cleaned = ss.clean(path, survey=model.inputs, output=tmp_path / "o.fits")
    assert cleaned.attrition.n_in == 300
    assert ss.read(tmp_path / "o.fits", survey=model.inputs).columns == found.columns


def test_the_engine_for_clusters_refuses_elements() -> None:
    refuse_elements(["source_id", "one"], survey(one=("m[1]",)), "sky")
    with pytest.raises(ss.InputError, match=r"sky: has 'one' as an element of a vector \(m\[1\]\).*--engine"):
        refuse_elements(["source_id", "M"], survey(one=("m[1]",)), "sky")
