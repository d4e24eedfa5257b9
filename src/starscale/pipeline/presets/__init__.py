"""The packaged run files (TOML) that others extend."""
