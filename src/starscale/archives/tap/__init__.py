"""Tables from archives over TAP: queries, pieces, checks. Loading it loads no network library."""
