"""A mock sky with known truth: tables like those of the archives, for tests, tutorials and checks of the method.

It is a mock. No figure made with it says how well anything works on real stars.
"""

from starscale.mock.sky import MockSky, make_sky

__all__ = ["MockSky", "make_sky"]
