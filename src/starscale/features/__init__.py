"""Input columns of a model, and splits of the labelled stars into training, validation and test parts."""
