"""The settings of every verb, as validated classes."""
