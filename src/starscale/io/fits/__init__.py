"""FITS binary tables."""
