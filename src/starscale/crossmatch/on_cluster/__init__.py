"""The cross-match on the partitions of HATS catalogues."""
