"""Labels of several spectroscopic surveys on one scale: table -> table.

`rows` gathers measurements, `errors` normalises their errors, `basis` and `solve` describe and find the
corrections, `calibrate` brings these to agree, `calibration` is the result as a document that can be
applied to new rows, `merge` makes one value of a star, `diagnostics` judges it. The mathematics stands in
docs/homogenize.md.
"""
