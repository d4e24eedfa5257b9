"""From a run file to a plan: everything it names is loaded and checked before anything expensive starts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from starscale.features.features import load_feature_set
from starscale.features.split_rule import check_split
from starscale.homogenization.api import LabelsPlan, reference_survey
from starscale.homogenization.kernel.whole import anchor_of
from starscale.pipeline.plan import RunPlan, features_of, members_in
from starscale.surveys import Survey, load_survey
from starscale.tables.api import is_mock
from starscale.vocabulary.errors import InputError, Problems
from starscale.vocabulary.paths import missing_path
from starscale.vocabulary.settings.run import InputTable, LabelsInput, RunConfig


def plan(config: RunConfig, base: Path, *, coming: Collection[Path] = ()) -> RunPlan:
    """Load every survey and feature set of a run and check that the files are there.

    Parameters
    ----------
    config : RunConfig
    base : Path
        Folder that its paths start from.
    coming : collection of Path
        Tables that will be fetched.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    problems = Problems()
    loaded: dict[str, Survey] = {}
    tables: list[InputTable | LabelsInput] = [
        config.catalogue,
        *config.catalogue.join,
        *config.photometry,
        *config.labels,
    ]
    for table in tables:
        try:
            loaded[table.survey] = load_survey(table.survey, base=base)
        except InputError as error:
            problems.items.extend(error.problems)
        if table.fetch is not None:
            fix = "'starscale run' fetches it; other commands need a `path`."
            problems.add(f"survey {table.survey}", "is still to be fetched", "a table", fix)
        if table.path is not None and table.path not in coming and not (base / table.path).exists():
            problems.items.append(missing_path(base / table.path))
    for reference in config.compare:
        if not (base / reference.path).exists():
            problems.items.append(missing_path(base / reference.path, role=f"compare {reference.name!r}"))
    try:
        feature_set = load_feature_set(config.features.set, base=base)
    except InputError as error:
        raise InputError([*problems.items, *error.problems]) from None
    problems.raise_if_any()
    label_surveys = tuple(loaded[entry.survey] for entry in config.labels)
    _check_labels(config, base, loaded[config.catalogue.survey], label_surveys, problems)
    check_split(
        config.split, base, loaded[config.catalogue.survey], [survey.name for survey in label_surveys], problems
    )
    names = [loaded[t.survey].name for t in (config.catalogue, *config.catalogue.join, *config.photometry)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("run file", f"survey {name!r} takes part twice")
    problems.raise_if_any()
    paths = [base / t.path for t in tables if t.path is not None and (base / t.path).exists()]
    ready = RunPlan(
        config if config.mock else config.model_copy(update={"mock": is_mock(*paths)}),
        base,
        loaded[config.catalogue.survey],
        tuple(loaded[t.survey] for t in config.catalogue.join),
        tuple(loaded[t.survey] for t in config.photometry),
        label_surveys,
        feature_set,
    )
    # Built here only to be checked: the names of columns in the joined table are not known yet.
    features_of(ready, members_in(ready, ()))
    return ready


def _check_labels(
    config: RunConfig, base: Path, lead: Survey, label_surveys: Sequence[Survey], problems: Problems
) -> None:
    """Whether the label surveys have what is to be predicted, and a table each."""
    known = sorted({name for survey in label_surveys for name in survey.labels})
    who = f"survey{'s' * (len(label_surveys) > 1)} {', '.join(survey.name for survey in label_surveys)}"
    for target in config.target:
        if target not in known:
            problems.add(
                who,
                f"has no label {target!r}" if len(label_surveys) == 1 else f"have no label {target!r}",
                f"one of {', '.join(known)}",
                f"Name what it has: target = {json.dumps(known)}.",
            )
    for entry, survey in zip(config.labels, label_surveys, strict=True):
        if entry.path is None and survey.name != lead.name:
            problems.add("labels.path", "is missing", "the table of the label survey")
    names = [survey.name for survey in label_surveys]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("labels", f"survey {name!r} takes part twice", "each survey once")
    if len(label_surveys) > 1:
        reference_survey(config.homogenize, base, problems)
        _check_anchor([survey.name for survey in label_surveys], config, problems)


def _check_anchor(names: Sequence[str], config: RunConfig, problems: Problems) -> None:
    try:
        anchor_of(names, config.homogenize)
    except InputError as error:
        problems.items.extend(error.problems)


def labels_plan_of(run: RunPlan) -> LabelsPlan:
    """The part of a run that `homogenize` does, where several surveys have labels."""
    reference = reference_survey(run.config.homogenize, run.base, Problems())
    return LabelsPlan(
        run.config.homogenize,
        run.base,
        run.config.labels,
        run.label_surveys,
        run.leading_table,
        reference,
        run.config.mock,
    )
