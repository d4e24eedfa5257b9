"""The folder of compiled programs, and products of rounded factors with their derivatives."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starscale.learn.compilation import private_folder, rounded_dense


def test_the_folder_of_programs_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "version"
    assert private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    assert private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_not_ours_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    assert not private_folder(tmp_path / "link")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert not private_folder(tmp_path / "open" / "version")
    (tmp_path / "file").touch()
    assert not private_folder(tmp_path / "file" / "version")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not private_folder(tmp_path / "own")


def rounded(array: jax.Array) -> np.ndarray:
    return np.asarray(array).astype(jnp.bfloat16).astype(np.float64)


@pytest.mark.parametrize("n_in", [1, 2, 7, 64])
def test_a_product_and_its_derivatives_have_rounded_factors(n_in: int) -> None:
    rng = np.random.default_rng(n_in)
    x, weight, bias, slope = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((50, n_in), (n_in, 5), (5,), (50, 5))
    )
    found, backward = jax.vjp(rounded_dense, x, weight, bias)
    of_x, of_weight, of_bias = backward(slope)
    exact = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(found, rounded(x) @ rounded(weight) + np.asarray(bias), **exact)
    np.testing.assert_allclose(of_x, rounded(slope) @ rounded(weight).T, **exact)
    np.testing.assert_allclose(of_weight, rounded(x).T @ rounded(slope), **exact)
    np.testing.assert_allclose(of_bias, rounded(slope).sum(axis=0), **exact)
    assert found.dtype == of_x.dtype == of_weight.dtype == of_bias.dtype == jnp.float32
    assert np.abs(found - bias - np.asarray(x, np.float64) @ np.asarray(weight, np.float64)).max() > 1e-4
