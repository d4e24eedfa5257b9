"""Cross-match of two catalogues: in memory, on disk, on a cluster; joins of the matched tables."""
