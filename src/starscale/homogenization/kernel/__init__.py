"""Labels of several spectroscopic surveys on one scale: kernels from tables to tables.

`rows` gathers measurements, `errors` normalises their errors, `basis` and `solve` describe and find the
corrections, `calibrate` iterates these until they agree, `calibration` is the result as a document that can be
applied to new rows, `merge` computes one value for each star, `diagnostics` tests it. The mathematics is in
docs/homogenize.md.
"""
