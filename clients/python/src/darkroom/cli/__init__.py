"""The `darkroom` command: the client from a terminal."""
