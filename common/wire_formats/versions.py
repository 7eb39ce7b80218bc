"""The supported versions of the wire formats."""

WIRE_VERSION = "1.0"


class UndecodableError(ValueError):
    """The bytes do not have this wire format; `reason` is short and contains no user input."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnsupportedVersionError(UndecodableError):
    """Written by a newer darkroom with a different major version."""


def check_version(version: object) -> None:
    """Raise unless `version` is a string of major version 1."""
    if not isinstance(version, str) or not version.partition(".")[0].isdecimal():
        raise UndecodableError("version is missing or not a string like '1.0'")
    if version.partition(".")[0] != WIRE_VERSION.partition(".")[0]:
        raise UnsupportedVersionError(f"version {version[:16]!r} is not 1.x")
