"""Releases of Gaia, and the columns of a table that links the identifiers of two of them."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from starscale.vocabulary.errors import did_you_mean
from starscale.vocabulary.strict import Frozen, load_toml, validate


class Release(Frozen):
    """A release with identifiers of its own, and the names of others that have the same ones."""

    name: str
    same: tuple[str, ...] = ()


class Releases(Frozen):
    """All releases, in the order of time."""

    releases: tuple[Release, ...] = Field(min_length=1)


@lru_cache
def release_names() -> dict[str, str]:
    """Return the releases in the order of time: the name of their identifiers, by every name of a release."""
    with resources.as_file(resources.files(__package__) / "gaia.toml") as path:
        known = validate(Releases, load_toml(path), "packaged releases of Gaia")
    return {name: release.name for release in known.releases for name in (release.name, *release.same)}


def newest(releases: set[str]) -> str:
    """Return the latest of some releases."""
    return max(releases, key=list(release_names()).index)


def _identifiers(name: str) -> str:
    known = release_names()
    if name not in known:
        raise ValueError(f"unknown release; expected one of {', '.join(known)}. {did_you_mean(name, list(known))}")
    return known[name]


#: The release of Gaia that identifiers belong to; EDR3 becomes DR3, whose identifiers are the same.
GaiaRelease = Annotated[
    str, AfterValidator(_identifiers), WithJsonSchema({"type": "string", "enum": list(release_names())})
]


class GaiaIdentifier(Frozen):
    """Column with Gaia identifiers, and their release."""

    column: str
    release: GaiaRelease


class CrosswalkColumns(Frozen):
    """Columns of a table of neighbours: sources of two releases of Gaia that are near each other."""

    older: GaiaIdentifier
    newer: GaiaIdentifier
    #: Separation of the two sources.
    distance: str
    #: Difference of their magnitudes in G.
    magnitude_difference: str
    #: The archive's own opinion on whether the two are the same source.
    probable: str | None = None

    @model_validator(mode="after")
    def _two_releases(self) -> CrosswalkColumns:
        if self.older.release == self.newer.release:
            raise ValueError(f"both identifiers are of {self.older.release}")
        return self

    @property
    def columns(self) -> list[str | None]:
        """The columns that this section names."""
        return [
            self.older.column,
            self.newer.column,
            self.distance,
            self.magnitude_difference,
            self.probable,
        ]
