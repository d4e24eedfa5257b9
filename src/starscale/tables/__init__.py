"""Tables of surveys: standard names and units, cuts, identifiers, positions, joins."""
