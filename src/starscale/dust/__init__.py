"""Maps of interstellar reddening: E(B-V) at the position and the distance of a star."""
