"""The rules of darkroom. Pure: standard library and pydantic only, no I/O, no clock of its own."""
