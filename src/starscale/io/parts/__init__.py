"""Parts of tables and of files: elements of vectors, tables of one file that belong together."""
