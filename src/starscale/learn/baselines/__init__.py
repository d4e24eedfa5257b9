"""What one would use instead of a network, behind the same interface: one file a learner."""
