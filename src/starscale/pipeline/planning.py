"""Turn a run file into a plan: load and check everything that it names, before the first step."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from starscale.crossmatch.linking import load_crosswalks, refuse_unused
from starscale.crossmatch.neighbourhood import Neighbourhood
from starscale.features.features import load_feature_set
from starscale.features.split_rule import check_split
from starscale.homogenization.api import LabelsPlan, reference_survey
from starscale.homogenization.kernel.whole import anchor_of
from starscale.model.asked import asked_in
from starscale.pipeline.plan import RunPlan, features_of, members_in, tables_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.spelling import with_rename
from starscale.tables.api import is_mock
from starscale.tables.columns.spectra import with_lengths
from starscale.vocabulary.errors import InputError, Problems
from starscale.vocabulary.paths import missing_path, present
from starscale.vocabulary.settings.run import RunConfig


def plan(config: RunConfig, base: Path, *, coming: Collection[Path] = ()) -> RunPlan:
    """Load every survey and feature set of a run, and check that the files exist.

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
    loaded = _load_surveys(config, base, coming, problems)
    _check_references(config, base, problems)
    _check_model(config, base, problems)
    try:
        feature_set = load_feature_set(config.features.set, base=base)
    except InputError as error:
        raise InputError([*problems.items, *error.problems]) from None
    problems.raise_if_any()
    lead = loaded[config.catalogue.survey]
    label_surveys = tuple(loaded[entry.survey] for entry in config.labels)
    _check_labels(config, base, lead, label_surveys, problems)
    crosswalks: tuple[Neighbourhood, ...] = ()
    with problems.collect():
        crosswalks = load_crosswalks(config.crosswalk, base)
    listed = reference_survey(config.homogenize, base, Problems())
    refuse_unused(crosswalks, [*label_surveys, *([listed] if listed else [])], lead.gaia_release, problems)
    check_split(config.split, base, lead, [survey.name for survey in label_surveys], problems)
    described = [loaded[t.survey] for t in (config.catalogue, *config.catalogue.join, *config.photometry)]
    for name in _repeated(described):
        problems.add("run file", f"survey {name!r} is named twice", "each survey once")
    problems.raise_if_any()
    ready = RunPlan(
        config if config.mock else config.model_copy(update={"mock": _any_mock(config, base)}),
        base,
        lead,
        tuple(loaded[t.survey] for t in config.catalogue.join),
        tuple(loaded[t.survey] for t in config.photometry),
        label_surveys,
        feature_set,
        crosswalks,
    )
    # Built here only to be checked: the names of columns in the joined table are not known yet.
    features_of(ready, members_in(ready, ()))
    return ready


def _load_surveys(
    config: RunConfig, base: Path, coming: Collection[Path], problems: Problems
) -> dict[str, Survey]:
    """Load the surveys of all tables, by their name in the run file; note missing surveys and tables."""
    loaded: dict[str, Survey] = {}
    for table in tables_of(config):
        with problems.collect():
            loaded[table.survey] = with_rename(load_survey(table.survey, base=base), table.rename)
        if table.fetch is not None:
            fix = "'starscale run' fetches it; other commands need a `path`."
            problems.add(f"survey {table.survey}", "is still to be fetched", "a table", fix)
        if table.path is not None and table.path not in coming:
            if not present(base / table.path):
                problems.items.append(missing_path(base / table.path))
            elif table.survey in loaded and loaded[table.survey].spectra:
                with problems.collect():
                    loaded[table.survey] = with_lengths(loaded[table.survey], base / table.path)
    return loaded


def _check_references(config: RunConfig, base: Path, problems: Problems) -> None:
    for reference in config.compare:
        if not present(base / reference.path):
            problems.items.append(missing_path(base / reference.path, role=f"compare {reference.name!r}"))


def _check_model(config: RunConfig, base: Path, problems: Problems) -> None:
    """Check the model that is to be trained, and what is asked of it."""
    if not config.model.stored:
        found = f"= {config.model.kind!r} cannot be kept in a bundle, as its library stores pickles"
        problems.add("model.kind", found, "a kind that can", "Name this one in [[models]], to compare with.")
    if config.predict.tilts and not config.model.density:
        kind = f"is given, and a model of the kind {config.model.kind!r} predicts no density"
        problems.add("predict.prior", kind, 'a model that does (kind = "mixture")', "Leave the prior out.")
    with problems.collect():
        asked_in(config.predict, config.target, base)


def _any_mock(config: RunConfig, base: Path) -> bool:
    """Return whether a table of the run is simulated."""
    paths = [base / table.path for table in tables_of(config) if table.path is not None]
    return is_mock(*(path for path in paths if present(path)))


def _repeated(surveys: Sequence[Survey]) -> list[str]:
    """Return the names that occur more than once."""
    names = [survey.name for survey in surveys]
    return sorted({name for name in names if names.count(name) > 1})


def _check_labels(
    config: RunConfig, base: Path, lead: Survey, label_surveys: Sequence[Survey], problems: Problems
) -> None:
    """Check that the label surveys have the labels to be predicted, and a table each."""
    _check_targets(config.target, label_surveys, problems)
    for entry, survey in zip(config.labels, label_surveys, strict=True):
        if entry.path is None and survey.name != lead.name:
            problems.add("labels.path", "is missing", "the table of the label survey")
    for name in _repeated(label_surveys):
        problems.add("labels", f"survey {name!r} is named twice", "each survey once")
    if len(label_surveys) > 1:
        reference_survey(config.homogenize, base, problems)
        with problems.collect():
            anchor_of([survey.name for survey in label_surveys], config.homogenize)


def _check_targets(targets: Sequence[str], label_surveys: Sequence[Survey], problems: Problems) -> None:
    """Check that every label to be predicted is in one of the label surveys."""
    known = sorted({name for survey in label_surveys for name in survey.labels})
    plural = len(label_surveys) > 1
    where = f"survey{'s' if plural else ''} {', '.join(survey.name for survey in label_surveys)}"
    for target in targets:
        if target not in known:
            problems.add(
                where,
                f"{'have' if plural else 'has'} no label {target!r}",
                f"one of {', '.join(known)}",
                f"Labels that can be predicted: target = {json.dumps(known)}.",
            )


def labels_plan_of(run: RunPlan) -> LabelsPlan:
    """Return the plan of the step `homogenize`, for a run with labels of several surveys."""
    reference = reference_survey(run.config.homogenize, run.base, Problems())
    return LabelsPlan(
        run.config.homogenize,
        run.base,
        run.config.labels,
        run.label_surveys,
        run.leading_table,
        reference,
        run.config.mock,
        run.crosswalks,
    )
