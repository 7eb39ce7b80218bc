"""The rules of darkroom, pure: standard library and pydantic only, no I/O, no clock of its own."""
