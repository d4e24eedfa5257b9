"""VOTable files."""
