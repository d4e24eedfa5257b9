"""Tables of other libraries in memory."""
