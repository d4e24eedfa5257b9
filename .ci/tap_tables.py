"""Make the tables of the TAP server of the service tests: mock Gaia, distances, SkyMapper and their match.

Schemas and tables are called as in the Gaia archive, so that the packaged survey files fit. All of it is MOCK.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import polars as pl

import starscale as ss
from starscale.vocabulary.columns import PAIR_COLUMNS, Column
from starscale.vocabulary.settings.run import MatchConfig

STARS, SEED = 20_000, 7
TYPES = {
    "int64": "bigint",
    "int32": "integer",
    "int16": "smallint",
    "float64": "double precision",
    "float32": "real",
    "bool": "boolean",
    "string": "text",
}
#: What stands for null in the answers of the server, where a number must.
NULLS = {"int32": -(2**31), "int16": -(2**15)}


def table(name: str, columns: list[Column], key: str, position: bool) -> str:
    """One table of a resource descriptor of DaCHS, and how it is filled."""
    fields = []
    for column in columns:
        null = f"<values nullLiteral='{NULLS[column.dtype]}'/>" if column.dtype in NULLS else ""
        fields.append(
            f"<column name={quoteattr(column.name)} type={quoteattr(TYPES[column.dtype])} "
            f"unit={quoteattr(column.unit)} ucd={quoteattr(column.ucd)} "
            f"description={quoteattr(column.description)}>{null}</column>"
        )
    maps = "".join(
        f'<map dest="{c.name}">None if @{c.name} is None else bool(@{c.name})</map>'
        for c in columns
        if c.dtype == "bool"
    )
    mixin = ' mixin="//scs#q3cindex"' if position else ""
    return f"""
  <table id="{name}" onDisk="True" adql="True"{mixin}>
    <meta name="description">MOCK: simulated rows for tests</meta>
    <index columns="{key}"/>
    {"".join(fields)}
  </table>
  <data id="import_{name}">
    <sources>data/{name}.vot</sources>
    <voTableGrammar/>
    <make table="{name}"><rowmaker idmaps="*">{maps}</rowmaker></make>
  </data>"""


def write_schema(
    folder: Path, schema: str, tables: dict[str, tuple[pl.DataFrame, list[Column], str, bool]]
) -> None:
    """Write the resource descriptor of a schema and the data of its tables."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    body = ""
    for name, (frame, columns, key, position) in tables.items():
        # As numbers: the server's grammar does not read truth values.
        frame = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int16))
        ss.write(frame, folder / "data" / f"{name}.vot", columns={c.name: c for c in columns})
        body += table(name, columns, key, position)
    head = f"""<resource schema="{schema}" resdir="{folder.name}">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">{escape(schema)} (MOCK)</meta>
  <meta name="description">MOCK: simulated tables for tests</meta>
  <meta name="subject">stars</meta>"""
    (folder / "q.rd").write_text(f"{head}{body}\n</resource>\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Make the mock sky and everything that the server imports."""
    ss.make_mock(folder / "mock", stars=STARS, seed=SEED)
    names = ("gaia_dr3", "bailer_jones_edr3", "skymapper_dr2")
    surveys = {name: ss.load_survey(name) for name in names}
    frames = {name: ss.read(folder / "mock" / f"{name}.parquet", survey=surveys[name]) for name in names}
    columns = {n: [surveys[n].described()[c] for c in frames[n].columns] for n in names}
    matched = ss.match(
        frames["gaia_dr3"],
        frames["skymapper_dr2"],
        left_survey="gaia_dr3",
        right_survey="skymapper_dr2",
        settings=MatchConfig(pairs="best"),
    ).pairs
    wanted = [name for name in PAIR_COLUMNS if name != "score"]
    best = matched.select(wanted)
    best.write_parquet(folder / "best_neighbour.parquet")
    gaia = {
        "gaia_source": (frames["gaia_dr3"], columns["gaia_dr3"], "source_id", True),
        "skymapperdr2_best_neighbour": (best, [PAIR_COLUMNS[name] for name in wanted], "source_id", False),
    }
    external = {
        "gaiaedr3_distance": (frames["bailer_jones_edr3"], columns["bailer_jones_edr3"], "source_id", False),
        "skymapperdr2_master": (frames["skymapper_dr2"], columns["skymapper_dr2"], "object_id", True),
    }
    write_schema(folder / "server" / "starscale_gaiadr3", "gaiadr3", gaia)
    # "external", as the Gaia archive calls it, is a reserved word of SQL that this server does not accept.
    write_schema(folder / "server" / "starscale_gaiaext", "gaiaext", external)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
