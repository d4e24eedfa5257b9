"""Labels of several spectroscopic surveys on one scale."""
