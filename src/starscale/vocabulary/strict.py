"""Strict, immutable settings read from TOML, with errors that name the key and the likely fix."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.paths import missing_path


class Frozen(BaseModel):
    """Base of settings classes: immutable, and unknown keys are errors."""

    # Built when it is first used: a command needs few of all settings.
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        If the file is missing, cannot be read or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(missing_path(path, "a TOML file")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(str(path), f"cannot be read ({error})", "a TOML file")) from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(Problem(str(path), f"is not valid TOML: {reason}")) from None


def validate(model: type[Model], data: Mapping[str, Any], source: str) -> Model:
    """Build settings from plain data; every validation error becomes one readable problem.

    Parameters
    ----------
    model : type
        The settings class.
    data : mapping
        Parsed TOML or JSON.
    source : str
        Name of the data in error messages (a file name).

    Raises
    ------
    InputError
        If the data are not valid; all problems are reported.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        items = error.errors()
        raise InputError(_problem(model, item, source) for item in items if not _follows(item, items)) from None


def _follows(item: Any, items: list[Any]) -> bool:
    """Whether a list is "too short" only because one of its entries is invalid, which is reported separately."""
    location = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in items
    )


def _problem(model: type[BaseModel], item: Any, source: str) -> Problem:
    location = list(item["loc"])
    key = ".".join(str(part) for part in location) or "(whole file)"
    where = f"{source}: {key}"
    if item["type"] == "extra_forbidden":
        fields = _fields_at(model, location[:-1])
        return Problem(
            where,
            "unknown key",
            f"one of {', '.join(sorted(fields))}" if fields else "",
            did_you_mean(str(location[-1]), fields),
        )
    if item["type"] == "missing":
        return Problem(where, "is missing", "a value", f"Add {location[-1]} = ... to the file.")
    if item["type"] in ("union_tag_not_found", "union_tag_invalid"):
        tag = str(item["ctx"]["discriminator"]).strip("'")
        tags = sorted(_tags(_classes_at(model, location), tag))
        found = f"{tag} = {item['ctx']['tag']!r} is unknown" if "tag" in item["ctx"] else f"{tag} is missing"
        return Problem(where, found, f"one of {', '.join(tags)}", did_you_mean(item["ctx"].get("tag", ""), tags))
    message = str(item["msg"]).removeprefix("Value error, ")
    found = repr(item.get("input"))
    return Problem(where, message if len(found) > 60 else f"{message} (found {found})")


def _fields_at(model: Any, location: list[Any]) -> list[str]:
    """Return the names of the fields of the settings class at `location`."""
    return sorted({name for cls in _classes_at(model, location) for name in cls.model_fields})


def _classes_at(model: Any, location: list[Any]) -> list[type[BaseModel]]:
    """Return the settings classes at `location`; several if the kind of a union is unknown."""
    classes = _models_in(model)
    for part in location:
        if isinstance(part, str):
            found = [
                inner
                for cls in classes
                if part in cls.model_fields
                for inner in _models_in(cls.model_fields[part].annotation)
            ]
            # A part that is not a field is the tag of a union, or the key of a dictionary.
            tagged = [cls for cls in classes if part in _tags([cls])]
            classes = found or tagged or classes
    return classes


def _tags(classes: list[type[BaseModel]], discriminator: str = "kind") -> set[str]:
    """Return the literal values of the field that distinguishes the classes of a union."""
    annotations = [
        cls.model_fields[discriminator].annotation for cls in classes if discriminator in cls.model_fields
    ]
    return {value for annotation in annotations for value in get_args(annotation) if isinstance(value, str)}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return every settings class in a type annotation such as ``dict[str, Band] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
