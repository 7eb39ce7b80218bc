"""The `darkroom` command as a user types it."""

import sys

import pytest

from darkroom.__main__ import main


class Terminal:
    """Runs commands and captures their output."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, **environment: str
    ) -> None:
        self._capsys = capsys
        self._patch = patch
        for name, value in {"COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, standard output, standard error."""
        self._patch.setattr(sys, "argv", ["darkroom", *words])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        captured = self._capsys.readouterr()
        assert isinstance(code, int)
        return code, captured.out, captured.err
