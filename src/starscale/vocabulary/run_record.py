"""The record of a run as it is read again: the steps that are done, and the files that each of them wrote."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from starscale.vocabulary.errors import InputError, Problem

_FIX = "Run it again; steps that are done are recognised by their files."


#: The step of an applied model whose file the user places, also outside the folder.
_PLACED = "predict"


def _relative(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or "\0" in name:
        raise ValueError(f"{name[:100]!r} is not the name of a file in the folder")
    return name


class RecordedStep(BaseModel):
    """A step: its key, the checksums of its files, its result, and what it read."""

    model_config = ConfigDict(extra="allow", strict=True)

    key: str
    files: dict[Annotated[str, AfterValidator(_relative)], str]
    result: dict[str, Any]


class RunRecord(BaseModel):
    """The record of a run."""

    model_config = ConfigDict(extra="allow", strict=True)

    mock: bool = False
    steps: dict[str, RecordedStep]

    @model_validator(mode="after")
    def _inside(self) -> RunRecord:
        applied = bool((self.model_extra or {}).get("applied"))
        for step, recorded in self.steps.items():
            outside = [name for name in recorded.files if ".." in PurePosixPath(name).parts]
            if outside and not (applied and step == _PLACED):
                raise ValueError(f"step {step}: {outside[0][:100]!r} is not the name of a file in the folder")
        return self


def read_record(path: Path) -> RunRecord:
    """Read the record of a run.

    Raises
    ------
    InputError
        It cannot be read, or is not one that a run wrote.
    """
    try:
        return RunRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except RecursionError:
        reason = "it is nested too deeply"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise InputError(Problem(str(path), f"cannot be understood ({reason})", "the record of a run", _FIX))
