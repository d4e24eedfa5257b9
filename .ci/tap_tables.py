"""Make the tables of the TAP server of the service tests: mock Gaia, distances, SkyMapper, their match, labels.

Schemas, tables and columns are called as in the archives, so that the packaged survey files fit. All is MOCK.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl

import starscale as ss
from starscale.mock.served import in_form
from starscale.surveys.names import plain
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
#: Before the names in the data file of columns that the table calls otherwise (`class` is a word of Python).
FROM = "from_"
#: Label surveys, with the schema and the table that hold them; VizieR's names with slashes are no schema here.
LABELS = {
    "apogee_dr17": ("sdss_dr17", "apogee2_allstar"),
    "galah_dr3": ("galah_dr3", "main_star"),
    "gaia_eso_dr5": ("gaiaext", "gaia_eso_survey"),
    "rave_dr6_summary": ("gaiaext", "ravedr6"),
    "lamost_dr5": ("vizier", "stellar5"),
}


def table(name: str, columns: list[Column], key: str, position: bool, there: dict[str, str]) -> str:
    """One table of a resource descriptor of DaCHS, and how it is filled; `there`: names other than in the file."""
    # Names such as [Fe/H] are quoted in queries.
    names = {c: n if n.isidentifier() else f"quoted/{n}" for c, n in there.items()}
    fields = []
    for column in columns:
        null = f"<values nullLiteral='{NULLS[column.dtype]}'/>" if column.dtype in NULLS else ""
        fields.append(
            f"<column name={quoteattr(names.get(column.name, column.name))} type={quoteattr(TYPES[column.dtype])} "
            f"unit={quoteattr(column.unit)} ucd={quoteattr(column.ucd)} "
            f"description={quoteattr(column.description)}>{null}</column>"
        )
    maps = "".join(
        f'<map dest="{c.name}">None if @{c.name} is None else bool(@{c.name})</map>'
        for c in columns
        if c.dtype == "bool"
    ) + "".join(f"<map dest={quoteattr(n)}>@{FROM}{c}</map>" for c, n in names.items())
    same = ",".join(c.name for c in columns if c.name not in names)
    mixin = ' mixin="//scs#q3cindex"' if position else ""
    return f"""
  <table id="{name}" onDisk="True" adql="True"{mixin}>
    <meta name="description">MOCK: simulated rows for tests</meta>
    <index columns="{names.get(key, key)}"/>
    {"".join(fields)}
  </table>
  <data id="import_{name}">
    <sources>data/{name}.vot</sources>
    <voTableGrammar/>
    <make table="{name}"><rowmaker idmaps="{same}">{maps}</rowmaker></make>
  </data>"""


def write_schema(
    folder: Path, schema: str, tables: dict[str, tuple[pl.DataFrame, list[Column], str, bool, dict[str, str]]]
) -> None:
    """Write the resource descriptor of a schema and the data of its tables."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    body = ""
    for name, (frame, columns, key, position, there) in tables.items():
        # As numbers: the server's grammar does not read truth values.
        frame = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int16))
        stored = [replace(c, name=FROM + c.name) if c.name in there else c for c in columns]
        frame = frame.rename({column: FROM + column for column in there})
        ss.write(frame, folder / "data" / f"{name}.vot", columns={c.name: c for c in stored})
        body += table(name, columns, key, position, there)
    head = f"""<resource schema="{schema}" resdir="{folder.name}">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">{escape(schema)} (MOCK)</meta>
  <meta name="description">MOCK: simulated tables for tests</meta>
  <meta name="subject">stars</meta>"""
    (folder / "q.rd").write_text(f"{head}{body}\n</resource>\n", encoding="utf-8")


def of_labels(mock: dict[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """The tables of label surveys, by schema."""
    found: dict[str, dict[str, Any]] = {}
    for name, (schema, table_name) in LABELS.items():
        survey = ss.load_survey(name)
        frame = in_form(mock, name)
        columns = [survey.described()[c] for c in frame.columns]
        there = plain(survey.names[survey.archive.names]) if survey.archive.names else {}
        there = {column: n for column, n in there.items() if column in frame.columns}
        found.setdefault(schema, {})[table_name] = (frame, columns, survey.id.column, True, there)
    return found


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
        "gaia_source": (frames["gaia_dr3"], columns["gaia_dr3"], "source_id", True, {}),
        "skymapperdr2_best_neighbour": (best, [PAIR_COLUMNS[name] for name in wanted], "source_id", False, {}),
    }
    external = {
        "gaiaedr3_distance": (frames["bailer_jones_edr3"], columns["bailer_jones_edr3"], "source_id", False, {}),
        "skymapperdr2_master": (frames["skymapper_dr2"], columns["skymapper_dr2"], "object_id", True, {}),
    }
    made = ("apogee_dr17", "galah_dr3", "gaia_eso_dr3", "rave_dr6", "lamost_dr5")
    labels = of_labels({name: ss.read(folder / "mock" / f"{name}.parquet", survey=name) for name in made})
    # "external", as the Gaia archive calls it, is a reserved word of SQL that this server does not accept.
    schemas = {"gaiadr3": gaia, **labels, "gaiaext": {**external, **labels["gaiaext"]}}
    for schema, tables in schemas.items():
        write_schema(folder / "server" / f"starscale_{schema}", schema, tables)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
