"""The stars of the mock: the Sun, the giants, what metals and gravity do to the colours, clusters, dust."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from starscale.mock import galaxy
from starscale.mock.distances import geometric_distances
from starscale.mock.evolution import evolve, main_sequence_age, post_main_sequence_time
from starscale.mock.populations import field_pool, kroupa, make_pool, overall_metallicity
from starscale.mock.spectrum import BANDS, absolute_magnitudes
from starscale.vocabulary.arrays import FloatArray


def one(*values: float) -> tuple[FloatArray, ...]:
    return tuple(np.array([value]) for value in values)


def colours(teff: float, logg: float, fe_h: float) -> dict[str, float]:
    return dict(zip(BANDS, absolute_magnitudes(*one(teff, logg, fe_h, 0.0))[0], strict=True))


def test_the_sun() -> None:
    sun = evolve(*one(1.0, 4570.0, 0.0, 0.0, 0.0))
    assert sun.teff[0] == pytest.approx(5772, abs=40)
    assert sun.logg[0] == pytest.approx(4.438, abs=0.02)
    assert sun.log_lum[0] == pytest.approx(0.0, abs=0.03)
    magnitude = dict(zip(BANDS, absolute_magnitudes(*one(5772, 4.438, 0.0, 0.0))[0], strict=True))
    assert magnitude["G"] == pytest.approx(4.67, abs=0.02)
    assert magnitude["BP"] - magnitude["RP"] == pytest.approx(0.82, abs=0.02)
    assert magnitude["g"] == pytest.approx(5.0, abs=0.15)
    assert magnitude["g"] - magnitude["i"] == pytest.approx(0.45, abs=0.1)
    assert 0.2 < magnitude["u"] - magnitude["v"] < 0.6
    assert 1.0 < magnitude["v"] - magnitude["g"] < 1.5


def test_lifetime_of_the_sun() -> None:
    assert main_sequence_age(*one(1.0, 0.0))[0] == pytest.approx(11000, rel=0.05)
    assert 1000 < post_main_sequence_time(*one(1.0, 0.0))[0] < 3000


def test_red_clump() -> None:
    mass, m_h = one(1.3, 0.0)
    tip = main_sequence_age(mass, m_h) + post_main_sequence_time(mass, m_h) - 60.0
    clump = evolve(mass, tip, *one(0.0), m_h, *one(0.5))
    magnitude = absolute_magnitudes(clump.teff, clump.logg, np.zeros(1), clump.log_lum)[0]
    assert magnitude[0] == pytest.approx(0.5, abs=0.25)
    assert magnitude[1] - magnitude[2] == pytest.approx(1.2, abs=0.12)
    assert clump.logg[0] == pytest.approx(2.45, abs=0.15)


@pytest.mark.parametrize(("teff", "logg"), [(5800.0, 4.4), (4800.0, 2.5), (5000.0, 4.6)])
def test_metals_show_in_the_ultraviolet(teff: float, logg: float) -> None:
    poor, rich = colours(teff, logg, -1.0), colours(teff, logg, 0.0)
    violet = (rich["v"] - rich["g"]) - (poor["v"] - poor["g"])
    red = (rich["g"] - rich["i"]) - (poor["g"] - poor["i"])
    assert violet > 0.15
    assert violet > 2.5 * abs(red)


def test_metals_still_show_when_there_are_few() -> None:
    assert colours(5000, 2.5, -2.0)["v"] - colours(5000, 2.5, -2.0)["g"] > (
        colours(5000, 2.5, -3.0)["v"] - colours(5000, 2.5, -3.0)["g"] + 0.03
    )


def test_gravity_shows_in_u() -> None:
    dwarf, subgiant = colours(6000, 4.5, -0.5), colours(6000, 3.5, -0.5)
    assert (subgiant["u"] - subgiant["v"]) - (dwarf["u"] - dwarf["v"]) > 0.02


def test_magnesium_tells_dwarfs_from_giants() -> None:
    dwarf, giant = colours(4600, 4.6, 0.0), colours(4600, 2.4, 0.0)
    assert dwarf["g"] - dwarf["r"] > giant["g"] - giant["r"] + 0.01


def test_colours_redden_with_falling_temperature() -> None:
    teff = np.arange(3200.0, 9000.0, 100.0)
    magnitudes = absolute_magnitudes(teff, np.full_like(teff, 4.5), np.zeros_like(teff), np.zeros_like(teff))
    for blue, red in (("BP", "RP"), ("g", "i")):
        colour = magnitudes[:, BANDS.index(blue)] - magnitudes[:, BANDS.index(red)]
        assert (np.diff(colour) < 0).all()


def test_a_pool_weighs_its_stars_like_the_mass_function() -> None:
    rng = np.random.default_rng(3)
    n = 40_000
    pool = make_pool(np.full(n, 5000.0), np.zeros(n), np.zeros(n), rng)
    assert pool.weight.sum() == pytest.approx(1)
    # The share of giants from the mass function itself: every mass at the one age, the dead left out.
    mass = np.geomspace(0.15, 1.6, 400_000)
    zero = np.zeros_like(mass)
    star = evolve(mass, np.full_like(mass, 5000.0), zero, zero, zero)
    alive = main_sequence_age(mass, zero) + post_main_sequence_time(mass, zero) > 5000
    born = np.where(alive, kroupa(mass) * mass, 0.0)
    for low, high in ((2.0, 3.5), (3.5, 4.0), (4.0, 4.3)):
        wanted = born[(star.logg > low) & (star.logg < high)].sum() / born.sum()
        found = pool.weight[(pool.logg > low) & (pool.logg < high)].sum()
        assert found == pytest.approx(wanted, rel=0.15), (low, high)
    assert (pool.mass_ratio > 0).mean() == pytest.approx(0.35, abs=0.01)


def test_companions_add_light() -> None:
    pool = field_pool(0, 20_000, np.random.default_rng(5))
    twin = (pool.mass_ratio > 0.95) & (pool.logg > 4.4)
    single = (pool.mass_ratio == 0) & (pool.logg > 4.4)
    at = np.round(pool.teff / 50)
    excess = [
        np.median(pool.magnitudes[single & (at == step), 0]) - np.median(pool.magnitudes[twin & (at == step), 0])
        for step in range(90, 112)
        if (twin & (at == step)).sum() >= 5
    ]
    assert np.median(excess) == pytest.approx(0.7, abs=0.15)


def test_alpha_elements_count_as_metals() -> None:
    assert overall_metallicity(*one(-1.5, 0.3))[0] == pytest.approx(-1.29, abs=0.01)
    assert overall_metallicity(*one(-0.2, 0.0))[0] == pytest.approx(-0.2)


def test_galactic_coordinates_agree_with_astropy() -> None:
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 200), rng.uniform(-90, 90, 200)
    lon, lat = galaxy.galactic(ra, dec)
    truth = SkyCoord(ra * u.deg, dec * u.deg).galactic
    assert truth.separation(SkyCoord(lon * u.deg, lat * u.deg, frame="galactic")).arcsec.max() < 0.05


def test_reddening_grows_to_the_column() -> None:
    distance = np.array([50.0, 500.0, 5000.0, 1e6])
    towards_pole, in_plane = galaxy.mean_reddening(-85.0, distance), galaxy.mean_reddening(4.0, distance)
    assert (np.diff(towards_pole) >= 0).all()
    assert towards_pole[-1] == pytest.approx(0.034, abs=0.01)
    assert in_plane[-1] > 10 * towards_pole[-1]


def test_distances_of_good_parallaxes_are_their_inverse() -> None:
    low, middle, high = geometric_distances(*one(10.0, 0.02), *one(500.0))[0]
    assert middle == pytest.approx(100.0, rel=1e-3)
    assert (high - low) / 2 == pytest.approx(0.2, rel=0.05)


def test_distances_without_information_are_the_prior() -> None:
    # The median of r^2 exp(-r / L) is 2.674 L, its 16th percentile 1.367 L.
    low, middle, _ = geometric_distances(*one(0.1, 50.0), *one(1000.0))[0]
    assert middle == pytest.approx(2674, rel=0.05)
    assert low == pytest.approx(1367, rel=0.05)
