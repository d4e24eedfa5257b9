"""Where the rows of a run are processed: in this process, or by LSDB on the workers of a Dask cluster."""
