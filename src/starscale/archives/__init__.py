"""Fetch tables from the archives: what is asked for, the estimate, the download, the table."""
