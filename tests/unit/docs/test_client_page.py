"""docs/client.md lists the whole interface of the SDK."""

import re
from pathlib import Path

import darkroom
from darkroom import Client
from darkroom.__main__ import app
from darkroom.cli.exit_codes import ExitCode

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()


def test_client_page_names_every_method() -> None:
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert {name for name in methods if f"`{name}(" not in PAGE} == set()


def test_client_page_names_every_error() -> None:
    errors = {name for name in darkroom.__all__ if name.endswith("Error")}
    assert {name for name in errors if f"`{name}`" not in PAGE} == set()


def test_client_page_names_every_command() -> None:
    commands = {str(each.name or getattr(each.callback, "__name__", "")) for each in app.registered_commands}
    groups = {str(each.name) for each in app.registered_groups}
    listed = set(re.findall(r"^\| `([a-z-]+)|`([a-z]+) ID…`", PAGE, re.MULTILINE))
    assert commands | groups <= {name for pair in listed for name in pair}


def test_client_page_lists_the_exit_codes_of_the_help() -> None:
    listed = {
        int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    }
    assert listed == {code.value: code.meaning for code in ExitCode}
