"""Kernels on catalogues: table in, table out; no disk, no options, inputs never modified."""
