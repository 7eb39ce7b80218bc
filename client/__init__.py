"""The `darkroom` command: the REST API from a terminal. It knows the API's documents and nothing of its code."""
