"""Models by name: registry files, bundles in one file, and the folder where a user's models are kept."""
