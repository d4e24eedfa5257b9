"""starscale."""
