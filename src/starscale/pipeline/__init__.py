"""A run: one file that says what to do, the steps, the folder that remembers them."""
