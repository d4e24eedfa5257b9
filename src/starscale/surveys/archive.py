"""The archives of a survey as described in its file: services, tables, limits, dialect.

Names of tables and columns become part of queries, so they are checked against the grammar of ADQL when the file
is read: nothing else can reach a server.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from starscale.surveys.releases import GaiaRelease
from starscale.vocabulary.strict import Frozen

_PART = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[A-Za-z0-9_/+.\- ]+")'
#: A table with its schema: regular identifiers, or delimited ones such as "III/286/catalog".
TableName = Annotated[str, Field(pattern=rf"^{_PART}(\.{_PART}){{0,2}}$")]
#: A column in the archive's spelling, or a column alias.
ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
#: Address of a TAP service, without /sync or /async.
ServiceUrl = Annotated[str, Field(pattern=r"^https?://[^\s'\"<>]+$")]


class HealpixBits(Frozen):
    """Position of the nested HEALPix cell (ICRS) of a source in the bits of its integer identifier.

    The cell of order `order` is ``identifier >> shift``.
    """

    order: int = Field(ge=0, le=29)
    shift: int = Field(ge=0, le=62)


class ArchiveJoin(Frozen):
    """A further table of the archive with some of the survey's columns, joined by an outer join."""

    table: TableName
    #: Column of both tables on which they are joined.
    on: ColumnName
    #: Columns of the survey in this table, in the spelling of the survey file.
    columns: tuple[str, ...] = Field(min_length=1)


class Bridge(Frozen):
    """A table between a table of neighbours and that of a survey, where an entry has several names."""

    table: TableName
    #: Column of the table of neighbours and of this one by which they are joined.
    on: ColumnName
    #: Column of this table that refers to the survey's, in place of that of the table of neighbours.
    external_id: ColumnName


class Neighbours(Frozen):
    """The archive's own match of a Gaia release with the survey: its table of best neighbours.

    Its columns `angular_distance`, `number_of_neighbours`, `number_of_mates` and `xm_flag` are downloaded too.
    """

    release: GaiaRelease
    table: TableName
    lead_id: ColumnName = "source_id"
    external_id: ColumnName = "original_ext_source_id"
    #: Column of the survey's table that `external_id` refers to; by default the survey's identifier.
    row_id: ColumnName | None = None
    bridge: Bridge | None = None
    columns: tuple[ColumnName, ...] = (
        "angular_distance",
        "number_of_neighbours",
        "number_of_mates",
        "xm_flag",
    )


class Access(Frozen):
    """Limits and dialect of a service."""

    #: Largest number of rows of one answer, if it is known and the service does not state it.
    row_limit: int | None = Field(default=None, ge=1)
    #: How booleans are written: the string 'true', the word TRUE, or the number 1.
    booleans: Literal["text", "word", "number"] = "text"
    #: How bits are tested: an operator, the function BITWISE_AND, or not at all; cuts that test bits are then
    #: applied after the download.
    bitwise: Literal["operator", "function"] | None = None
    #: Kind of login: HTTP Basic, a form at `login_url` that returns a cookie, or a token.
    login: Literal["basic", "form", "token"] | None = None
    login_url: ServiceUrl | None = None
    #: Numeric column by whose ranges a large request is divided; by default an integer identifier, or the
    #: declination.
    split: str | None = None
    #: Set of names (``[names.NAME]`` of the survey file) that the archive uses where it spells columns otherwise.
    names: str | None = None
    joins: tuple[ArchiveJoin, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()


class Copy(Access):
    """The table of a survey in one archive. A survey has a main archive and may have copies in others."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    service: ServiceUrl
    table: TableName
