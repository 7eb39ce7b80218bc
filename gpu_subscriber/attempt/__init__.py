"""One attempt at a task, from claim to settlement."""
