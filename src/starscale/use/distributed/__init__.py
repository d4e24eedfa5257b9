"""The distributed engine: LSDB on Dask (extra ``lsdb``). Only modules of this package import it, and :mod:`.extra` them."""
