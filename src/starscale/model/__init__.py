"""A trained model applied to tables: predictions, figures of merit, importance, explanations."""
