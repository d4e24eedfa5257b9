"""A model of a registry in words, and the entry of a bundle from what the bundle says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starscale.registry.entries import ModelFigures, RegisteredModel
from starscale.registry.registries import Located
from starscale.vocabulary.strict import validate


def described(model: Located) -> str:
    """Return what a registry says of a model, in several lines."""
    return "\n".join(_lines(model))


def _lines(model: Located) -> Iterator[str]:
    entry = model.entry
    yield f"{entry.name}: {entry.title}" + (" (MOCK stars)" if entry.mock else "")
    yield f"predicts {', '.join(entry.labels)} on the scale: {entry.label_scale}"
    yield from [f"needs tables of {', '.join(entry.surveys)}"] if entry.surveys else []
    sample = "test part, MOCK data" if entry.mock else "test part"
    for row in entry.figures:
        inside = f"{100 * row.coverage68:.1f} % in the 68 % interval"
        yield f"{row.label} ({sample}): n {row.n:,}, MAD {row.mad:.3g}, RMSE {row.rmse:.3g}, {inside}"
    yield f"licence: {entry.licence}"
    yield from (f"cite {source}" for source in entry.citation)
    size = f", {entry.size:,} bytes" if entry.size else ""
    yield f"bundle: {model.place}{size}, SHA-256 {entry.sha256}"
    yield "here: " + ("yes" if model.here else f"no; `starscale models get {entry.name}` brings it")
    yield f"registry: {model.registry}"
    yield from [f"notes: {' '.join(entry.notes.split())}"] if entry.notes else []


def entry_of(document: Mapping[str, Any], name: str, where: str, **given: Any) -> RegisteredModel:
    """Return the entry of a bundle.

    Parameters
    ----------
    document : mapping
        What the bundle says of itself (`document` in its index).
    name : str
    where : str
        Name of the bundle in errors.
    **given
        Further fields, which replace what the bundle says; those that are None are left out.

    Raises
    ------
    InputError
        The bundle holds something that no entry may, such as control characters in its title.
    """
    information = document.get("information", {})
    settings = information.get("provenance", {}).get("settings", {})
    found = {
        "name": name,
        "title": information.get("title", name),
        "labels": document.get("labels", []),
        "mock": bool(document.get("mock")),
        "figures": [_figures(row) for row in information.get("figures", []) if row.get("by") == "all"],
        "surveys": list(_surveys(settings)),
    }
    scale = " and ".join(str(row.get("survey")) for row in settings.get("labels", []))
    found |= {"label_scale": scale} if scale else {}
    return validate(RegisteredModel, found | {k: v for k, v in given.items() if v is not None}, where)


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one label, rounded as they are shown."""
    kept = {key: row.get(key) for key in ModelFigures.model_fields}
    rounded = {key: float(f"{value:.4g}") for key, value in kept.items() if isinstance(value, float)}
    return kept | rounded | {"n": round(row.get("n") or 0)}


def _surveys(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the surveys whose tables a model of a run needs."""
    catalogue = settings.get("catalogue", {})
    tables = [catalogue, *catalogue.get("join", []), *settings.get("photometry", [])]
    yield from (str(table["survey"]) for table in tables if "survey" in table)
