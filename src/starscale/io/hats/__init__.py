"""HATS catalogues: Parquet partitioned by HEALPix."""
