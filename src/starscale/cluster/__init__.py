"""The distributed engine: LSDB on Dask (extra ``lsdb``).

Only modules of this package import LSDB, and they are loaded through :mod:`.extra`, when they are used.
"""
