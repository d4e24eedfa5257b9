"""The command `starscale`: options, one module for each group of verbs."""
