"""The packaged feature sets (TOML)."""
