"""The mock sky: tables in the formats of the archives and their true values, from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.mock.archive import extinctions
from starscale.mock.distances import distance_table
from starscale.mock.fields import CLUSTERS, FIELDS, Stars, make_stars
from starscale.mock.gaia import gaia_table
from starscale.mock.populations import POPULATIONS
from starscale.mock.skymapper import skymapper_table
from starscale.mock.spectroscopy import spectroscopic_tables
from starscale.mock.xp import xp_table
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

#: Smallest number of stars for which no field, cluster or survey is empty.
FEWEST = 500


@dataclass(frozen=True, slots=True)
class MockSky:
    """A mock sky.

    Attributes
    ----------
    tables : dict of DataFrame
        `gaia_dr3`, `bailer_jones_edr3`, `skymapper_dr2`, `apogee_dr17`, `galah_dr3`, `gaia_eso_dr3`, `rave_dr6`,
        `lamost_dr5` with the columns of the survey files of these names; `truth` (one row for each star),
        `truth_skymapper` (one for each SkyMapper entry) and `truth_spectro` (one for each row of a spectroscopic
        survey). With `spectra` also `gaia_dr3_xp`.
    n_stars, seed : int
        Arguments of :func:`make_sky`.
    """

    tables: dict[str, pl.DataFrame]
    n_stars: int
    seed: int


def _truth_table(stars: Stars, source_id: NDArray[np.int64], entry: NDArray[np.int64]) -> pl.DataFrame:
    names = pl.Series([cluster.name for cluster in CLUSTERS])
    return pl.DataFrame(
        {
            "source_id": source_id,
            "object_id": pl.Series(entry).replace(0, None),
            "ra": stars.ra,
            "dec": stars.dec,
            "teff": stars.teff,
            "logg": stars.logg,
            "fe_h": stars.fe_h,
            "distance": stars.distance,
            "pmra": stars.pmra,
            "pmdec": stars.pmdec,
            "radial_velocity": stars.radial_velocity,
            "ebv": stars.ebv,
            "ebv_column": stars.ebv_column,
            "population": pl.Series(np.array(POPULATIONS)[stars.population]),
            "cluster": names.gather(pl.Series(stars.cluster).replace(-1, None)),
            "binary": stars.mass_ratio > 0,
            "mass_ratio": stars.mass_ratio,
            "field": pl.Series(np.array([field.name for field in FIELDS])[stars.field]),
        }
    ).sort("source_id")


def _prior_lengths(gaia: pl.DataFrame, truth: pl.DataFrame) -> FloatArray:
    """Return the scale length of the distance prior of each Gaia row: 1/3 of the mean distance in its field."""
    by_field = truth.group_by("field").agg((pl.col("distance").mean() / 3).alias("length"))
    joined = gaia.select("source_id").join(
        truth.select("source_id", "field").join(by_field, on="field"),
        on="source_id",
        how="left",
        maintain_order="left",
    )
    return joined["length"].fill_null(500.0).to_numpy()


def make_sky(n_stars: int = 100_000, seed: int = 1, *, spectra: bool = False) -> MockSky:
    """Make a mock sky.

    Parameters
    ----------
    n_stars : int
        Number of stars to G = 18.5, at least 500. The areas of the fields are scaled to it, at realistic density.
    seed : int
        Seed of all random numbers: the same seed and number of stars give the same tables.
    spectra : bool
        Whether to add the table `gaia_dr3_xp` with the coefficients of BP and RP spectra; the other tables do not
        depend on it.

    Returns
    -------
    MockSky

    Raises
    ------
    InputError
        If `n_stars` is below 500 or `seed` is negative.

    Notes
    -----
    The documentation (page "The mock sky") describes the content, the sources of the formulae, and which of them
    are invented.
    """
    if n_stars < FEWEST:
        raise InputError(Problem("n_stars", str(n_stars), f"at least {FEWEST}", "A smaller sky has empty fields."))
    if seed < 0:
        raise InputError(Problem("seed", str(seed), "a number that is not negative"))
    # One random stream for each step, so that a change in one step does not change the others.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
    stars, radius = make_stars(n_stars, streams[0])
    apparent = stars.magnitudes + extinctions(stars.ebv, stars.teff)
    gaia, source_id = gaia_table(stars, apparent, streams[1])
    skymapper, truth_skymapper, entry = skymapper_table(stars, apparent, radius, streams[2])
    truth = _truth_table(stars, source_id, entry)
    labels, truth_spectro = spectroscopic_tables(stars, apparent[:, 0], source_id, streams[3])
    identifiers = pl.Series(source_id)
    xp = {"gaia_dr3_xp": xp_table(stars, apparent, source_id, streams[5])} if spectra else {}
    return MockSky(
        tables={
            "gaia_dr3": gaia,
            "bailer_jones_edr3": distance_table(gaia, _prior_lengths(gaia, truth), streams[4]),
            "skymapper_dr2": skymapper,
            **labels,
            **xp,
            "truth": truth,
            "truth_skymapper": truth_skymapper.select(
                "object_id",
                identifiers.gather(truth_skymapper["star"]).alias("source_id"),
                identifiers.gather(truth_skymapper["companion"]).alias("companion_source_id"),
                "kind",
            ),
            "truth_spectro": truth_spectro,
        },
        n_stars=n_stars,
        seed=seed,
    )
