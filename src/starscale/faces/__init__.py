"""What a user touches: the verbs, the pipeline, the report, the command. They compose and compute nothing."""
