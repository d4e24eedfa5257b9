"""Pages, pictures and tables of text about finished work."""
