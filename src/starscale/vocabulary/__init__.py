"""What things are called: errors, columns, flags, settings, provenance."""
