"""Cross-match of Gaia with another catalogue, after Marrese et al. (2017, A&A 607, A105; 2019, A&A 621, A144)."""
