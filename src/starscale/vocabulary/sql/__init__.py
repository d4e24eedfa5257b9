"""The language of SQL expressions of one row: words, grammar and syntax tree, without their meaning."""
