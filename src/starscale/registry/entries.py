"""The registry file: models with their place, checksum, licence and figures, as TOML that is read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.strict import Frozen

#: Largest bundle, in bytes, and largest registry file.
LARGEST_BUNDLE, LARGEST_REGISTRY = 2**30, 2**20
#: What a model may be called: neither a path nor a hidden file.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
#: One line: a registry may come from a stranger, and control characters can take over a terminal.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=500)]
#: Text of several lines.
Text = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$", max_length=10_000)]
NOT_STATED = "not stated"


class ModelFigures(Frozen):
    """What a model reached on its test part, for one label."""

    label: LabelName
    #: Number of stars.
    n: int = Field(ge=0)
    mad: float
    rmse: float
    #: Share of labels in the 68 % interval.
    coverage68: float = Field(ge=0, le=1)


class RegisteredModel(Frozen):
    """A model in a registry file: what it is, where its bundle lies, and the checksum of that file."""

    name: str = Field(pattern=NAME)
    title: Line
    #: Where the packed bundle is: an address (https: or file:), or a path relative to the registry file.
    address: Line | None = None
    path: Line | None = None
    #: SHA-256 of the file that `starscale models pack` writes, also where the path is that of a folder.
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: Size of that file, bytes.
    size: int | None = Field(default=None, gt=0, le=LARGEST_BUNDLE)
    licence: Line = NOT_STATED
    #: On which survey's scale the predicted labels are.
    label_scale: Line = NOT_STATED
    surveys: tuple[Line, ...] = ()
    labels: tuple[LabelName, ...] = Field(min_length=1)
    #: Whether the training stars were simulated.
    mock: bool = False
    figures: tuple[ModelFigures, ...] = ()
    citation: tuple[Line, ...] = ()
    notes: Text = ""

    @model_validator(mode="after")
    def _one_place(self) -> RegisteredModel:
        if (self.address is None) == (self.path is None):
            raise ValueError("either `address` or `path` must be given")
        return self


class RegistryFile(Frozen):
    """A registry file."""

    models: tuple[RegisteredModel, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> RegistryFile:
        names = [entry.name for entry in self.models]
        if again := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names that occur more than once: {', '.join(again)}")
        return self


def as_toml(entries: Iterable[RegisteredModel]) -> str:
    """Write entries as the text of a registry file."""
    documents = (entry.model_dump(mode="json", exclude_defaults=True) for entry in entries)
    return "\n".join(
        "[[models]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in document.items())
        for document in documents
    )


def _value(value: Any) -> str:
    """Write plain data as TOML: a text of JSON is one of TOML, but for the character DEL."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
