"""What a survey file says about the archives that hold its table: services, tables, limits, dialect.

Names of tables and columns end up in queries, so they are held to the grammar of ADQL here, where the file
is read: nothing else can reach a server.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from starscale.vocabulary.strict import Frozen

_PART = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[A-Za-z0-9_/+.\- ]+")'
#: A table, with its schema: regular identifiers, or delimited ones such as "III/286/catalog".
TableName = Annotated[str, Field(pattern=rf"^{_PART}(\.{_PART}){{0,2}}$")]
#: A column as the archive spells it, or the alias of one.
ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
#: Address of a TAP service, without the /sync or /async at its end.
ServiceUrl = Annotated[str, Field(pattern=r"^https?://[^\s'\"<>]+$")]


class HealpixBits(Frozen):
    """Where an integer identifier holds the nested HEALPix cell (ICRS) of its source.

    The cell of order `order` is ``identifier >> shift``.
    """

    order: int = Field(ge=0, le=29)
    shift: int = Field(ge=0, le=62)


class ArchiveJoin(Frozen):
    """A further table of the archive that holds some of the survey's columns; its nulls lose no row."""

    table: TableName
    #: Column that both tables have, and on which they are joined.
    on: ColumnName
    #: The survey's columns that stand there, as the survey file spells them.
    columns: tuple[str, ...] = Field(min_length=1)


class Neighbours(Frozen):
    """The archive's own match of a Gaia release with the survey: which source a row belongs to.

    Its columns `angular_distance`, `number_of_neighbours`, `number_of_mates` and `xm_flag` are delivered too.
    """

    release: Literal["dr2", "dr3"]
    table: TableName
    lead_id: ColumnName = "source_id"
    external_id: ColumnName = "original_ext_source_id"
    #: Column of the survey's table that `external_id` repeats; left out: the survey's identifier.
    row_id: ColumnName | None = None
    columns: tuple[ColumnName, ...] = (
        "angular_distance",
        "number_of_neighbours",
        "number_of_mates",
        "xm_flag",
    )


class Access(Frozen):
    """How a service is asked for the table."""

    #: Most rows of one answer, where it is known and the service does not say it itself.
    row_limit: int | None = Field(default=None, ge=1)
    #: How a truth value is written: the text 'true', the word TRUE, or the number 1.
    booleans: Literal["text", "word", "number"] = "text"
    #: How bits are tested: an operator, the function BITWISE_AND, or not at all (such cuts are then applied here).
    bitwise: Literal["operator", "function"] | None = None
    #: How one logs in: HTTP Basic, a form at `login_url` that answers with a cookie, or a token.
    login: Literal["basic", "form", "token"] | None = None
    login_url: ServiceUrl | None = None
    #: Numeric column by whose ranges a large request is divided; left out: a whole-number identifier, or the
    #: declination.
    split: str | None = None
    joins: tuple[ArchiveJoin, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()


class Copy(Access):
    """A table in one archive. A survey has a main one, and may have copies elsewhere."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    service: ServiceUrl
    table: TableName
