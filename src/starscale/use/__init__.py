"""Apply a trained model to tables, and measure how good it is."""
