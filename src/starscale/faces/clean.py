"""The verb `clean_file`: cuts on a table of any size, from file to file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starscale import io
from starscale.catalogue.cuts import Attrition
from starscale.faces.progress import Bar
from starscale.faces.tables import PROVENANCE_KEY, about_positions, described, is_mock, refuse_same
from starscale.surveys import Survey, load_survey
from starscale.use.clean_file import clean_on_disk
from starscale.use.stream import columns_of
from starscale.vocabulary.config import Cuts
from starscale.vocabulary.provenance import record


def clean_file(
    source: str | Path,
    output: str | Path,
    *,
    survey: str | Path | Survey,
    join: Sequence[tuple[str | Path, str | Path | Survey]] = (),
    cuts: Cuts = Cuts(),  # noqa: B008  frozen
) -> Attrition:
    """Apply the cuts of a survey file to a table of any size: `clean`, from file to file.

    Parameters
    ----------
    source, output : path
        Any format that `read` reads and `write` writes; rows keep their order.
    survey : str, Path or Survey
        Whose cuts apply.
    join : sequence of (path, survey)
        Tables that share the identifier and bring columns that a cut needs (distances, ...).
    cuts : Cuts
        Cuts to leave out, and cuts of one's own.

    Returns
    -------
    Attrition
        What each cut removed.

    Raises
    ------
    StarscaleError
        Bad input, or an output that cannot be written; no half-written file is left.
    """
    joins = [(Path(path), load_survey(other)) for path, other in join]
    paths, description = [Path(source), *(path for path, _ in joins)], load_survey(survey)
    refuse_same(output, *paths)

    def provenance(attrition: Attrition) -> Mapping[str, Any]:
        return record(
            command="clean",
            mock=is_mock(*paths),
            settings={
                "survey": description.name,
                "join": {other.name: str(path) for path, other in joins},
                "cuts": cuts.model_dump(mode="json"),
                "attrition": asdict(attrition),
            },
            inputs={str(path): {"sha256": io.checksum(path)} for path in paths},
        )

    return clean_with(Path(source), Path(output), description, joins, cuts, provenance)


def clean_with(
    source: Path,
    output: Path,
    survey: Survey,
    join: Sequence[tuple[Path, Survey]],
    cuts: Cuts,
    provenance: Callable[[Attrition], Mapping[str, Any]],
) -> Attrition:
    """Do what :func:`clean_file` does, with a provenance of the caller's."""
    with Bar(f"cleaning {survey.name}", io.open_table(source).n_rows) as bar:
        return clean_on_disk(
            source,
            output,
            survey=survey,
            join=join,
            cuts=cuts,
            columns=described(survey, *(other for _, other in join)),
            metadata=lambda attrition: {
                **about_positions(columns_of(source, survey), [survey]),
                PROVENANCE_KEY: json.dumps(provenance(attrition), default=str),
            },
            report=bar.advance,
        )
