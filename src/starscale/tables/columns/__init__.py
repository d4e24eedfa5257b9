"""Values of a column: their types, and columns that are computed from others."""
