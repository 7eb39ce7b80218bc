"""darkroom doctor: checks the connection to the server."""

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.options import JsonOption, client_of, with_options
from darkroom.cli.output import exit_with, print_records
from darkroom.errors import printable
from darkroom.sync_client import Client

_EXIT_CODES = {"credentials": ExitCode.NOT_ALLOWED, "clock": ExitCode.REFUSED}
_OUTCOME_WIDTH = 9
_NAME_WIDTH = 13


@with_options(client=client_of)
def doctor(*, as_json: JsonOption = False, client: Client) -> None:
    """Check the connection to the server, and say what to do.

    Checks proxy, server, clock, credentials, models and streams. The exit code is that of the first failed check.
    """
    checks = []
    for check in client.diagnose():
        checks.append(check)
        if not as_json:
            detail = printable(check.detail)
            typer.echo(f"{check.outcome:<{_OUTCOME_WIDTH}}{check.name:<{_NAME_WIDTH}}{detail}")
            if check.advice:
                typer.echo(" " * (_OUTCOME_WIDTH + _NAME_WIDTH) + check.advice)
    if as_json:
        print_records(checks)
    failed = [check.name for check in checks if check.outcome == "failed"]
    exit_with(_EXIT_CODES.get(failed[0], ExitCode.UNAVAILABLE) if failed else ExitCode.SUCCESS)
