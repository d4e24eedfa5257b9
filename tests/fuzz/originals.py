"""Good files of every kind, small, and with much of what their format allows. All stars are made up."""

from __future__ import annotations

import gzip
import io as streams
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from astropy.io import fits as astropy_fits
from astropy.table import MaskedColumn, Table

from starscale import io
from starscale.homogenization.kernel.basis import Basis
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.errors import Factor
from starscale.learn.training.checkpoint import Checkpoint
from starscale.registry.packed import pack
from starscale.surveys import Survey
from starscale.vocabulary.columns import Column
from starscale.vocabulary.provenance import record
from support.homogenize_skies import survey as spectroscopic
from support.small_model import SURVEY, small_model, small_stars

Files = dict[str, bytes]
ROWS = 12
MRT = f"""Title: Stars
Authors: Doe J.
Table: Stars
{"=" * 80}
Byte-by-byte Description of file: table.dat
{"-" * 80}
   Bytes Format Units   Label   Explanations
{"-" * 80}
   1-  4  I4    ---     ID      ?=-999 identifier
   6- 11  F6.2  [cm/s2] logg    ? gravity
  13- 16  A4    ---     Name    ? name
  18- 20  A3    ---     Cflg    contamination
{"-" * 80}
Note (1): a, b
{"-" * 80}
   1   4.50 null 000
-999        abcd 010
   3   1.25 x    001
"""
IPAC = """\\fixlen = T
\\ a comment
| source_id           | ra     | flg  |
| long                | double | char |
|                     | deg    |      |
| null                | null   | null |
  4295806720            10.5     000
  34361129088           null     null
"""
RUN = """title = "a small run"
mock = true
seed = 3
repeats = 1
target = ["teff"]

[catalogue]
survey = "small.toml"
path = "small.parquet"

[[labels]]
survey = "small.toml"
path = "small.parquet"

[split]
train = 0.8
validation = 0.1
test = 0.1

[features]
set = "features.toml"

[model]
kind = "mixture"
members = 1
width = 32
layers = 1

[[compare]]
name = "truth (mock)"
path = "small.parquet"
columns = { teff = "teff" }
"""


@cache
def table() -> pl.DataFrame:
    """A table with columns of all types, and gaps."""
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "source_id": np.arange(ROWS) + 2**60,
            "ra": rng.uniform(0, 360, ROWS),
            "dec": rng.uniform(-90, 90, ROWS),
            "teff": pl.Series([None if i % 5 == 0 else 5000.0 + i for i in range(ROWS)], dtype=pl.Float32),
            "n": pl.Series([None if i % 4 == 0 else i for i in range(ROWS)], dtype=pl.Int16),
            "good": [None if i % 3 == 0 else i % 2 == 0 for i in range(ROWS)],
            "name": [f"star {i}, é" if i % 3 else None for i in range(ROWS)],
        }
    )


@cache
def vectors() -> pl.DataFrame:
    """The same with vectors."""
    xp = np.arange(3.0 * ROWS).reshape(ROWS, 3)
    several = [[float(j) for j in range(i % 4)] if i % 5 else None for i in range(ROWS)]
    return table().with_columns(xp=pl.Series(xp, dtype=pl.Array(pl.Float64, 3)), some=pl.Series(several))


def _written(name: str, frame: pl.DataFrame | None = None) -> Files:
    """A table as starscale writes it."""
    columns = {
        "ra": Column("ra", "float64", "deg", "pos.eq.ra"),
        "teff": Column("teff", "float32", "K", "", "warm"),
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        metadata = {"starscale.provenance": json.dumps(record(command="x", mock=True))}
        io.write(table() if frame is None else frame, path, columns=columns, metadata=metadata)
        if path.is_file():
            return {name: path.read_bytes()}
        return {f.relative_to(path).as_posix(): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def _astropy(name: str, kind: str, **options: object) -> Files:
    """A table as astropy writes it."""
    ints = MaskedColumn(np.arange(ROWS, dtype=np.int32), mask=np.arange(ROWS) % 3 == 0)
    texts = np.array([f"t{i}" for i in range(ROWS)])
    made = Table(
        {
            "id": np.arange(ROWS),
            "x": np.linspace(0, 1, ROWS),
            "n": ints,
            "t": texts,
            "v": np.ones((ROWS, 2, 3), np.float32),
            "flag": np.arange(ROWS) % 2 == 0,
            "u": np.arange(ROWS, dtype=np.uint16),
        }
    )
    if kind == "votable":
        made.remove_columns(["u"] if options.get("tabledata_format") != "binary" else ["u", "n"])
    stream = streams.StringIO() if kind.startswith("ascii") else streams.BytesIO()
    made.write(stream, format=kind, **options)
    written = stream.getvalue()
    return {name: written if isinstance(written, bytes) else written.encode()}


def _fits_of_texts() -> Files:
    """An ASCII table, behind an image, and a binary table with columns of varying length."""
    columns = [
        astropy_fits.Column("a", "I6", array=np.arange(ROWS)),
        astropy_fits.Column("b", "F10.4", array=np.linspace(0, 1, ROWS)),
        astropy_fits.Column("c", "A5", array=np.array(["abc"] * ROWS)),
    ]
    lists = np.empty(ROWS, dtype=object)
    lists[:] = [np.arange(i % 4, dtype=np.int32) for i in range(ROWS)]
    more = [
        astropy_fits.Column("p", "PJ(3)", array=lists),
        astropy_fits.Column("c", "C", array=np.ones(ROWS, np.complex64)),
        astropy_fits.Column("s", "J", bzero=2**31, array=np.arange(ROWS, dtype=np.uint32)),
        astropy_fits.Column("bits", "9X", array=np.zeros((ROWS, 9), bool)),
    ]
    units = [
        astropy_fits.PrimaryHDU(np.zeros((3, 4))),
        astropy_fits.TableHDU.from_columns(columns, name="FIRST"),
        astropy_fits.BinTableHDU.from_columns(more, name="SECOND"),
    ]
    stream = streams.BytesIO()
    astropy_fits.HDUList(units).writeto(stream, checksum=True)
    order = streams.BytesIO()
    astropy_fits.HDUList([units[0], units[2], units[1]]).writeto(order)
    return {"t.fits": stream.getvalue(), "u.fits": order.getvalue()}


def fits() -> list[Files]:
    both = _fits_of_texts()
    return [
        _written("t.fits", vectors().drop("some")),
        _astropy("t.fits", "fits"),
        {"t.fits": both["t.fits"]},
        {"u.fits": both["u.fits"]},
    ]


def fits_gz() -> list[Files]:
    return [{f"{name}.gz": gzip.compress(data, 1)} for files in fits() for name, data in files.items()]


def votable_tabledata() -> list[Files]:
    return [_written("t.vot", vectors().drop("some")), _astropy("t.vot", "votable", table_id="t")]


def votable_binary() -> list[Files]:
    return [_astropy("t.vot", "votable", tabledata_format="binary")]


def votable_binary2() -> list[Files]:
    return [_astropy("t.vot", "votable", tabledata_format="binary2")]


def votable_fits() -> list[Files]:
    import base64

    (data,) = _astropy("t.fits", "fits").values()
    text = base64.b64encode(data).decode()
    begin = '<?xml version="1.0"?>\n<VOTABLE version="1.4"><RESOURCE><TABLE><DATA><FITS extnum="1">'
    end = "</FITS></DATA></TABLE></RESOURCE></VOTABLE>"
    return [{"t.vot": f'{begin}<STREAM encoding="base64">{text}</STREAM>{end}'.encode()}]


def parquet() -> list[Files]:
    by_polars, by_dictionary = streams.BytesIO(), streams.BytesIO()
    vectors().write_parquet(by_polars, compression="snappy")
    table().write_parquet(by_dictionary, compression="gzip", use_pyarrow=True, row_group_size=5)
    return [
        _written("t.parquet", vectors().drop("some")),
        {"t.parquet": by_polars.getvalue()},
        {"t.parquet": by_dictionary.getvalue()},
    ]


def csv() -> list[Files]:
    text = "# a comment\nid;x;t\n" + "".join(f"{i};{i},5;a{i}\n" for i in range(ROWS))
    blanks = "id   x    t\n" + "".join(f"{i:4d} {i * 0.5:4.1f} a{i}\n" for i in range(ROWS))
    packed = _written("t.csv")
    return [
        packed,
        {"t.csv": text.encode()},
        {"t.txt": blanks.encode()},
        {"t.csv.gz": gzip.compress(packed["t.csv"])},
        {"t.csv": packed["t.csv"].decode().encode("utf-16")},
    ]


def ecsv() -> list[Files]:
    return [_written("t.ecsv", vectors().drop("some")), _astropy("t.ecsv", "ascii.ecsv")]


def mrt() -> list[Files]:
    readme, _, rows = MRT.partition("Note (1): a, b\n" + "-" * 80 + "\n")
    return [{"t.mrt": MRT.encode()}, {"table.dat": rows.encode(), "ReadMe": readme.encode()}]


def ipac() -> list[Files]:
    return [{"t.tbl": IPAC.encode()}]


def hats() -> list[Files]:
    return [_written("t.hats")]


def small_table() -> bytes:
    stream = streams.BytesIO()
    small_stars(40).write_parquet(stream)
    return stream.getvalue()


def run() -> list[Files]:
    presets = RUN.replace("small.toml", "gaia_dr3").replace("features.toml", "default")
    document = SURVEY.model_dump(mode="json", exclude_defaults=True)
    labels = {"teff": {"value": "teff"}}
    small = as_toml({**document, "labels": labels, "columns": {**document["columns"], "teff": {"unit": "K"}}})
    features = (
        'name = "few"\ntitle = "few"\n\n[[features]]\nkind = "expression"\nname = "g_r"\nexpression = "g - r"\n'
    )
    beside = {"small.parquet": small_table(), "small.toml": small.encode(), "features.toml": features.encode()}
    return [{"run.toml": RUN.encode(), **beside}, {"run.toml": presets.encode(), **beside}]


def survey() -> list[Files]:
    from importlib import resources

    small = as_toml(SURVEY.model_dump(mode="json", exclude_defaults=True))
    packaged = resources.files("starscale.surveys")
    files = [{f"{name}.toml": (packaged / f"{name}.toml").read_bytes()} for name in ("galah_dr3", "skymapper_dr2")]
    return [{"small.toml": small.encode()}, {"small.toml": small.encode()}, *files]


def bundle() -> list[Files]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        small_model().save(path, card="# A small model\n")
        small = {f.name: f.read_bytes() for f in sorted(path.iterdir())}
    return [small]


def packed_bundle() -> list[Files]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        small_model().save(path, card="# A small model\n")
        return [{"m.tar": pack(path)}]


def label_survey() -> Survey:
    return spectroscopic("second")


@cache
def label_table() -> pl.DataFrame:
    rng = np.random.default_rng(2)
    labels = {"t": rng.normal(5500, 500, ROWS), "g": rng.normal(4, 0.5, ROWS), "m": rng.normal(0, 0.3, ROWS)}
    errors = {f"e_{name}": np.full(ROWS, 0.1) for name in labels}
    return pl.DataFrame(
        {"id": np.arange(ROWS), "snr": np.full(ROWS, 50.0), "gaia": np.arange(ROWS), **labels, **errors}
    )


def calibration() -> list[Files]:
    basis = Basis(
        "smooth", (5500.0, 4.0, 0.0), (500.0, 0.5, 0.3), (4000.0, 1.0, -2.0), (7000.0, 5.0, 0.5), 4, 3.5, 0.2
    )
    rng, p = np.random.default_rng(3), basis.size
    covariance = np.zeros((3, 2, p, 2, p))
    covariance[:, 1, :, 1, :] = np.eye(p) * 0.01
    beta = np.zeros((3, 2, p))
    beta[:, 1] = rng.normal(0, 0.01, (3, p))
    factors = tuple((Factor(), Factor(1.2, 0.1)) for _ in range(3))
    low, high = np.full((2, 3), -np.inf), np.full((2, 3), np.inf)
    low[1], high[1] = (4000.0, 1.0, -2.0), (7000.0, 5.0, 0.5)
    bins, snr = (30.0,), np.ones((3, 2, 2))
    made = Calibration(
        ("anchor", "second"), "anchor", False, basis, beta, covariance, factors, low, high, bins, snr
    )
    return [{"c.json": json.dumps(made.document()).encode()}]


def registry() -> list[Files]:
    text = f"""[[models]]
name = "mine"
title = "a model"
path = "mine.tar"
sha256 = "{"0" * 64}"
size = 1000
licence = "CC0"
label_scale = "galah_dr3"
labels = ["teff"]
mock = true
surveys = ["gaia_dr3"]
citation = ["Doe 2024"]

[[models.figures]]
label = "teff"
n = 100
mad = 50.0
rmse = 80.0
coverage68 = 0.68
"""
    return [{"registry.toml": text.encode()}]


def job() -> list[Files]:
    with TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "job", "key")
        for number in range(2):
            checkpoint.save("part", lambda n=number: {"a": np.arange(4.0) + n, "b": np.ones((2, 2))}, now=True)
        checkpoint.save("other", lambda: {"c": np.arange(3)}, now=True)
        return [{f.name: f.read_bytes() for f in sorted((Path(folder) / "job").iterdir())}]


def provenance() -> list[Files]:
    sums = {"a.parquet": "0" * 64}
    steps = {"clean": {"files": sums, "key": "k", "result": {}}, "match": {"files": {}, "key": "k", "result": {}}}
    return [{"provenance.json": json.dumps({**record(command="run", mock=True), "steps": steps}).encode()}]


def as_toml(document: dict[str, object]) -> str:
    """Plain data as TOML: tables on one line each, which TOML allows."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in document.items())


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
