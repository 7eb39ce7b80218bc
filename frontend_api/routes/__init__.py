"""One file per resource: reads the request, calls a use case, writes the answer."""
