"""SQL expressions of one row: a grammar, an allow-list of functions, and their meaning in polars."""

from starscale.tables.sql.expression import (
    RowExpression,
    masks_of,
    rename_columns,
    row_expression,
    shortened,
    unclean_columns,
)

__all__ = ["RowExpression", "masks_of", "rename_columns", "row_expression", "shortened", "unclean_columns"]
