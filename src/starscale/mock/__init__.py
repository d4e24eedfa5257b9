"""A simulated sky with known true values: tables in the formats of the archives, for tests and tutorials.

It is a mock: results obtained with it say nothing about the accuracy for real stars.
"""

from starscale.mock.sky import MockSky, make_sky

__all__ = ["MockSky", "make_sky"]
