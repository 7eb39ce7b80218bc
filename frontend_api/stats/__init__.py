"""Statistics of the queue, measured in the store."""
