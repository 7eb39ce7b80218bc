"""The client's page lists the client's whole interface."""

import re
from pathlib import Path

import darkroom
from darkroom import Client
from darkroom.__main__ import app
from darkroom.cli.exit_codes import MEANINGS

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()


def test_every_method_is_named() -> None:
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert {name for name in methods if f"`{name}(" not in PAGE} == set()


def test_every_error_is_named() -> None:
    errors = {name for name in darkroom.__all__ if name.endswith("Error")}
    assert {name for name in errors if f"`{name}`" not in PAGE} == set()


def test_every_command_is_named() -> None:
    commands = {str(each.name or getattr(each.callback, "__name__", "")) for each in app.registered_commands}
    groups = {str(each.name) for each in app.registered_groups}
    told = set(re.findall(r"^\| `([a-z-]+)|`([a-z]+) ID…`", PAGE, re.MULTILINE))
    assert commands | groups <= {name for pair in told for name in pair}


def test_exit_codes_stand_there_as_in_the_help() -> None:
    told = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)}
    assert told == {code.value: meaning for code, meaning in MEANINGS.items()}
