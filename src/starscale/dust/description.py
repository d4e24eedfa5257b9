"""A dust map as a text file: where its values are, their unit, and how far it reaches."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from starscale.surveys.dust import ReddeningScale
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.strict import Frozen, load_toml, validate

_FOLDER = resources.files("starscale.dust.maps")
_Distance = Annotated[float, Field(gt=0)]


class HealpixFile(Frozen):
    """A table with one value, or a vector of values at increasing distances, for every cell of the sky."""

    #: Path of the table, from the folder of the description.
    path: str
    column: str
    #: Column with the standard deviation, in the unit of `column`.
    error: str | None = None
    #: Column with the numbers of the cells; default: all cells of the sky, in order.
    cell: str | None = None
    #: Numbering of the cells, and `nside`; default: what the file states. `nuniq`: cells of several sizes (MOC).
    ordering: Literal["nested", "ring", "nuniq"] | None = None
    nside: int | None = Field(default=None, ge=1, le=2**29)
    frame: Literal["galactic", "icrs"] | None = None
    #: Distances of the values, pc; empty: one value, along the whole line of sight.
    distances: tuple[_Distance, ...] = ()

    @model_validator(mode="after")
    def _increasing(self) -> HealpixFile:
        if any(b <= a for a, b in zip(self.distances, self.distances[1:], strict=False)):
            raise ValueError("distances must increase")
        return self


class DustmapsQuery(Frozen):
    """A class of the package dustmaps, with its arguments, and those of its call."""

    module: str = Field(pattern=r"^dustmaps(\.[a-z][a-z0-9_]*)+$")
    query: str = Field(pattern=r"^[A-Z]\w*Query$")
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    call: dict[str, bool | int | float | str] = Field(default_factory=dict)
    #: Arguments of the call that returns the standard deviation.
    error_call: dict[str, bool | int | float | str] | None = None
    #: Whether the map has values at distances; how far it reaches is asked of dustmaps.
    needs_distance: bool = False


class DustMap(Frozen):
    """Description of a dust map; E(B-V) is `factor` times the value of the map, on the given scale."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    factor: float = Field(gt=0)
    scale: ReddeningScale
    citation: tuple[str, ...] = ()
    notes: str = ""
    healpix: HealpixFile | None = None
    dustmaps: DustmapsQuery | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DustMap:
        if (self.healpix is None) == (self.dustmaps is None):
            raise ValueError("give either [healpix] or [dustmaps]")
        return self


def map_names() -> list[str]:
    """Return the names of the packaged descriptions."""
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def load_map(name: str | Path) -> tuple[DustMap, Path]:
    """Load a description by its packaged name, or from a TOML file.

    Returns
    -------
    DustMap
    Path
        Folder that paths in the description refer to.

    Raises
    ------
    InputError
        Unknown name, or not a valid description.
    """
    name = str(name)
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        return validate(DustMap, load_toml(path), str(path)), path.parent
    if name not in map_names():
        expected = f"one of {', '.join(map_names())}, or the path of a .toml file that describes a map"
        raise InputError(Problem(f"dust map {name!r}", "unknown name", expected, did_you_mean(name, map_names())))
    with resources.as_file(_FOLDER / f"{name}.toml") as path:
        return validate(DustMap, load_toml(path), f"packaged dust map {name}"), Path()
