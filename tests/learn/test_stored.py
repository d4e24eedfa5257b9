"""A bundle with right checksums and wrong settings or arrays is refused, at little cost."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import starscale as ss
from starscale.vocabulary.bundle import INDEX, SUMS, WEIGHTS
from starscale.vocabulary.provenance import fingerprint

OLD = Path(__file__).resolve().parents[1] / "data" / "old_bundle" / "model"
Change = Callable[[dict[str, Any]], Any]


def changed(folder: Path, change: Change, arrays: Change = lambda arrays: None) -> Path:
    """The old bundle with another index and other arrays, and with right checksums."""
    shutil.copytree(OLD, folder)
    stored = safetensors.numpy.load_file(folder / WEIGHTS)
    arrays(stored)
    safetensors.numpy.save_file(stored, folder / WEIGHTS)
    index = json.loads((folder / INDEX).read_text())
    index.pop("sha256")
    data = (folder / WEIGHTS).read_bytes()
    index["files"][WEIGHTS] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    change(index)
    (folder / INDEX).write_text(json.dumps({**index, "sha256": fingerprint(index)}))
    return folder


def test_a_changed_bundle_with_nothing_changed_is_loaded(tmp_path: Path) -> None:
    assert ss.load(changed(tmp_path / "m", lambda index: None)).labels == ("teff", "logg", "fe_h")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["calibration.factor", "regressor.networks.layers.0.weight", "domain.scale"])
def test_arrays_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    def spoil(arrays: dict[str, Any]) -> None:
        arrays[name].flat[0] = value

    with pytest.raises(ss.InputError, match=f"array {name}: holds 1 numbers that are NaN or infinite"):
        ss.load(changed(tmp_path / "m", lambda index: None, spoil))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"width": 10**7, "layers": 2}, "states networks of"),
        ({"layers": 10**12}, "states networks of"),
        ({"members": 10**9}, "states networks of"),
        ({"components": 10**9}, "states networks of"),
        ({"width": -1}, "greater than or equal to 1"),
    ],
)
def test_networks_that_the_file_does_not_hold_are_not_allocated(
    tmp_path: Path, config: dict[str, int], said: str
) -> None:
    folder = changed(tmp_path / "m", lambda index: index["model"]["regressor"]["config"].update(config))
    tracemalloc.start()
    try:
        with pytest.raises(ss.InputError, match=said):
            ss.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.labels", ["teff", "teff", "fe_h"]),
        ("model.giant_logg", "3.5"),
        ("model.min_present", 2.0),
        ("model.preparation.n_features", 31),
        ("model.regressor.n_inputs", 10**9),
        ("model.regressor.kind", "x"),
        ("model.warnings", None),
        ("document.mock", "true"),
        ("document.label_ranges", {"x": [0.0, 1.0]}),
        ("document.magnitude_range", [1.0]),
        ("document.reddening", "no_such_column"),
        ("document.features", []),
        ("document.labels", ["teff"]),
        ("document.information", []),
        ("document.information", {"figures": [{"label": "teff", "n": "many"}]}),
        ("document.information", {"provenance": {"settings": {"catalogue": []}}}),
        ("document.label_scale", {}),
        ("document.truth_shares", [{"label": "teff", "kind": "any", "share": 0.0, "stars": 300}]),
        ("document.truth_shares", [{"label": "teff", "kind": "star", "share": 0.5, "stars": 300}]),
        ("document.truth_shares", [{"label": "colour", "kind": "any", "share": 0.5, "stars": 300}]),
        ("files", {}),
        ("model", []),
        ("document", None),
    ],
)
def test_settings_of_another_form_are_named(tmp_path: Path, path: str, value: Any) -> None:
    def change(index: dict[str, Any]) -> None:
        *above, key = path.split(".")
        for name in above:
            index = index[name]
        index[key] = value

    with pytest.raises(ss.InputError) as caught:
        ss.load(changed(tmp_path / "m", change))
    assert str(tmp_path) in str(caught.value)


def test_the_index_is_under_the_checksums_of_a_manifest(tmp_path: Path) -> None:
    ss.load(OLD).save(tmp_path / "m", card="")
    listed = dict(reversed(line.split("  ")) for line in (tmp_path / "m" / SUMS).read_text().splitlines())
    assert listed[INDEX] == hashlib.sha256((tmp_path / "m" / INDEX).read_bytes()).hexdigest()
    ss.load(tmp_path / "m")
    text = (tmp_path / "m" / INDEX).read_text()
    (tmp_path / "m" / INDEX).write_text(text.replace("\n", " \n", 1))
    with pytest.raises(ss.InputError, match="states other checksums"):
        ss.load(tmp_path / "m")


def test_an_index_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "m")
    (tmp_path / "m" / INDEX).write_text("[" * 200_000)
    with pytest.raises(ss.InputError, match="is damaged"):
        ss.load(tmp_path / "m")
