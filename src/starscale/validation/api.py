"""The verb `validate`: a catalogue tested with stars about which something is known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from starscale import io
from starscale.io.progress import progress_of
from starscale.surveys import Survey
from starscale.tables.api import AnyTable, name_of, refuse_same
from starscale.validation.checks import holm
from starscale.validation.inputs import TESTS, check_settings, compared_columns, open_references, refuse_strangers
from starscale.validation.references import WantedRows, read_catalogue
from starscale.validation.result import Validated
from starscale.validation.samples import all_checks, compare
from starscale.validation.writing import result_of, write_result
from starscale.vocabulary.progress import Progress

#: Offset, and trend per 1000 K, that is no fault; of `errors` the relative deviation.
TOLERANCE: dict[str, float] = {"teff": 30.0, "logg": 0.05, "fe_h": 0.03, "errors": 0.1}
#: Chance of a fault that is none, for all checks together.
LEVEL = 0.05


def validate(
    table: AnyTable,
    output: str | Path | None = None,
    *,
    clusters: AnyTable | None = None,
    benchmark: AnyTable | None = None,
    seismic: AnyTable | None = None,
    against: AnyTable | None = None,
    wide_binaries: AnyTable | None = None,
    survey: str | Path | Survey | None = None,
    columns: Mapping[str, str] | None = None,
    identifier: str = "source_id",
    keep: str | None = None,
    tolerance: Mapping[str, float] | None = None,
    level: float = LEVEL,
    include_training: bool = False,
    progress: Progress | bool | None = None,
) -> Validated:
    """Test a catalogue with stars about which something is known.

    Every test gives offset, scatter over stated error and trend with temperature, with errors and verdicts.
    All of them are judged together (Holm 1979).

    Parameters
    ----------
    table : path or table
        The catalogue: anything that :func:`read` takes. It is read in chunks.
    output : path, optional
        A page that ends in ``.html``, or a folder: it receives the page, the checks as Parquet, CSV and JSON, and
        the compared stars.
    clusters : path or table, optional
        Members of clusters: identifier and ``cluster``; a known metallicity in ``fe_h`` and ``fe_h_error``.
    benchmark : path or table, optional
        Stars with accurate labels: identifier, ``teff``, ``logg``, ``fe_h`` or some of them, with errors.
    seismic : path or table, optional
        Stars with surface gravities from asteroseismology: identifier, ``logg``, ``logg_error``.
    against : path or table, optional
        Any other catalogue. Compared are the labels that both have, and the columns that `columns` names.
    wide_binaries : path or table, optional
        Pairs of stars that were born together: ``source_id1`` and ``source_id2``.
    survey : str, Path or Survey, optional
        Survey that describes `against`: its labels are compared after its cuts, repeated measurements merged.
    columns : mapping of str to str, optional
        Names of columns in the other tables, by name in the catalogue: ``{"teff": "Teff"}``; of errors:
        ``{"teff_error": "eTeff"}``.
    identifier : str
        Column with the identifier, in all tables.
    keep : str, optional
        SQL predicate: only rows of the catalogue for which it is true are tested, such as ``quality = 'good'``.
    tolerance : mapping of str to float, optional
        What is no fault: for a column its offset, and trend per 1000 K; for ``errors`` the relative deviation of
        the scatter from the stated errors. Default: 30 K, 0.05 and 0.03 dex, 0.1; 0 for other columns.
    level : float
        Chance that a fault is found in a catalogue without any.
    include_training : bool
        Whether stars that the model was trained or calibrated on (column ``part``) are tested too.
    progress : Progress or bool, optional
        Receives the number of rows read; True: show it. Default: silent.

    Returns
    -------
    Validated

    Raises
    ------
    InputError
        All problems at once: no other table, no common star, missing columns, repeated identifiers.
    """
    limits = {**TOLERANCE, **(tolerance or {})}
    given = (clusters, benchmark, seismic, against, wide_binaries)
    tables = {test: other for test, other in zip(TESTS, given, strict=True) if other is not None}
    check_settings(tables, limits, level, survey, output)
    if output is not None:
        refuse_same(output, table, *tables.values())
    where = name_of(table, "catalogue")
    source = io.open_table(table, name=where)
    references = open_references(tables, columns or {}, identifier, survey, list(source.schema))
    labels = compared_columns(references, columns or {}, where, list(source.schema))
    rows = WantedRows(identifier, references, tuple(chain(*labels.values())), keep, include_training)
    with progress_of(progress).task("reading the catalogue", source.n_rows) as task:
        catalogue = read_catalogue(source, where, rows, task)
    compared = [compare(reference, catalogue, labels[reference.test]) for reference in references]
    refuse_strangers(compared, references, where, catalogue)
    judged = holm(all_checks(compared, limits), level)
    result = result_of(judged, level, compared, references, catalogue)
    if output is not None:
        write_result(result, Path(output).expanduser(), where, {"tolerance": limits, "keep": keep})
    return result
