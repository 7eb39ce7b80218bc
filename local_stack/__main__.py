"""The command line: python -m local_stack up | down | status | metrics | traces | logs | java."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from local_stack.data_directory import DataDirectory
from local_stack.detached import start_detached, stop_running
from local_stack.emulators.jars import FIRESTORE, PUBSUB, find_jar, java_needed
from local_stack.emulators.java import find_java
from local_stack.errors import LocalStackError, StartInterruptedError
from local_stack.loopback import no_proxy_environment
from local_stack.settings import PROJECT_RULES, StackSettings
from local_stack.stack import LocalStack
from local_stack.views.logs import follow, select_logs, show
from local_stack.views.metrics import fetch_metrics, format_metrics
from local_stack.views.models import fetch_workers_by_model, format_models
from local_stack.views.shell_exports import shell_exports
from local_stack.views.traces import format_traces, read_spans

NOT_RUNNING_EXIT_CODE = 3  # as in `systemctl status`

app = typer.Typer(
    help="Run darkroom on this machine: emulators, API and workers. Needs no cloud, GPU or Docker.",
    no_args_is_help=True,
    add_completion=False,
)
DataDirOption = Annotated[
    Path, typer.Option("--data-dir", envvar="DATA_DIR", help="The directory of state and logs.")
]
DEFAULT_DATA_DIR = Path(".darkroom")


@app.command()
def up(
    *,
    port: Annotated[
        int,
        typer.Option(
            envvar="PORT", min=1, max=65535, help="The page's port. Other ports are chosen automatically."
        ),
    ] = 8080,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    workers: Annotated[
        int | None,
        typer.Option(
            envvar="WORKERS",
            min=0,
            help="The number of workers.",
            show_default="1, or one per share of WORKER_MODELS",
        ),
    ] = None,
    worker_models: Annotated[
        str | None,
        typer.Option(
            envvar="WORKER_MODELS",
            metavar="SHARES",
            help="The models of each worker: one share per worker, separated by semicolons, with its models separated "
            "by commas, such as 'tiny-a,tiny-b;tiny-xl'. Repeat a share to run several workers for it.",
            show_default="every worker serves every model",
        ),
    ] = None,
    model_catalog: Annotated[
        Path | None,
        typer.Option(
            envvar="DARKROOM_MODEL_CATALOG",
            dir_okay=False,
            exists=True,
            help="The model catalog, a JSON file.",
            show_default="the embedded catalog with the demo model",
        ),
    ] = None,
    java: Annotated[
        Path | None, typer.Option(envvar="DARKROOM_JAVA", help="The Java that runs the emulators.")
    ] = None,
    emulators_only: Annotated[
        bool, typer.Option("--emulators-only", help="Do not start the API and the workers.")
    ] = False,
    rules: Annotated[
        Path,
        typer.Option(
            help="Firestore's security rules.",
            dir_okay=False,
            exists=True,
            show_default="terraform/firestore.rules",
        ),
    ] = PROJECT_RULES,
    observe: Annotated[
        bool, typer.Option("--observe", help="Write traces. The `traces` command shows them.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start everything, wait until it is ready, and run until Ctrl-C.

    The emulators' jars are those that PUBSUB_EMULATOR_JAR and FIRESTORE_EMULATOR_JAR name, those of
    an installed Google Cloud CLI, or downloaded ones.
    """
    started = time.monotonic()
    data = DataDirectory(data_dir)
    settings = StackSettings(
        data_directory=data.path,
        port=port,
        serves_api=not emulators_only,
        workers=0 if emulators_only else workers,
        worker_models=None if emulators_only else worker_models,
        model_catalog=model_catalog,
        writes_traces=observe,
        rules=rules.resolve(),
        java=java,
    )
    settings.pools()  # reject invalid models before anything starts
    # Downloads may take minutes, so they precede the signal handlers: Ctrl-C ends them.
    for product in (PUBSUB, FIRESTORE):
        find_java(at_least=find_jar(product, notify=print).java_needed, given=java)
    if detach:
        state = start_detached(data, [argument for argument in sys.argv[1:] if argument != "--detach"])
        for notice in state.notices:
            print(notice)
        _announce(state.page_url, data, time.monotonic() - started)
        return
    stack = LocalStack(settings, notify=_report)
    _stop_on_signals(stack)
    try:
        with stack:
            _announce(stack.page_url, data, time.monotonic() - started)
            if emulators_only:
                _print_exports(stack)
            if ready_fd is None:
                _report("Press Ctrl-C to stop.")
            else:  # detached: the parent process reads the other end of the pipe
                os.write(ready_fd, b"1")
                os.close(ready_fd)
            stack.watch()
    except StartInterruptedError as error:
        _report(str(error))
    _report("Stopped.")


@app.command()
def down(data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Stop the running stack and wait until it has stopped."""
    data = DataDirectory(data_dir)
    not_running_message = data.not_running_message()  # before the state is deleted
    print("Stopped." if stop_running(data) else not_running_message)


@app.command()
def status(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the processes with ports, pids and restarts, and the number of workers per model.

    Exits with 3 when nothing is running, and prints the last failure.
    """
    data = DataDirectory(data_dir)
    last = data.state()
    state = last if data.is_in_use() else None
    models = fetch_workers_by_model(state.ports.get("api")) if state else {}
    if as_json:
        stopped = {"phase": "stopped", "failure": last.failure if last else None}
        print(json.dumps({**asdict(state), "models": models} if state else stopped, indent=2))
    elif state is not None:
        print(f"{state.phase} since {state.started_at}, page: {state.page_url}, logs: {data.logs}")
        for name in sorted({*state.ports, *state.pids}):
            port, pid = state.ports.get(name, "–"), state.pids.get(name, "–")
            print(f"  {name:<20} port {port:<7} pid {pid:<9} restarts {state.restarts.get(name, 0)}")
        for line in format_models(models):
            print(f"  {line}")
    else:
        print(data.not_running_message())
    if state is None:
        raise typer.Exit(NOT_RUNNING_EXIT_CODE)


@app.command()
def metrics(data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Show the metrics of the API and the workers. Exits with 3 when nothing is running."""
    data = DataDirectory(data_dir)
    state = data.state() if data.is_in_use() else None
    if state is None:
        print(data.not_running_message())
        raise typer.Exit(NOT_RUNNING_EXIT_CODE)
    for name, text in fetch_metrics(state.ports).items():
        print(name)
        for line in format_metrics(text):
            print(f"  {line}")


@app.command()
def traces(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The number of traces.")] = 5,
) -> None:
    """Show the latest traces of tasks of a stack that was started with --observe."""
    folder = DataDirectory(data_dir).traces
    lines = list(format_traces(read_spans(folder), count=count))
    print("\n".join(lines) or f"{folder} contains no traces of tasks. `make up OBSERVE=1` writes traces.")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="The process; by default all processes.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Show new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="The number of lines per log.")] = 20,
) -> None:
    """Show the last lines of the logs."""
    paths = select_logs(DataDirectory(data_dir).logs, name)
    try:
        show(paths, lines=lines, write=print)
        sys.stdout.flush()
        if following:
            for _ in follow(paths, print):
                sys.stdout.flush()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
        # Python flushes stdout at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
def java() -> None:
    """Show the Java that runs the emulators. Exits with 1 when no suitable Java is found."""
    print(find_java(at_least=max(java_needed(PUBSUB), java_needed(FIRESTORE))))


def _report(line: str) -> None:
    """Print a line. A detached stack prints to a log, and a full disk must not end it."""
    with suppress(OSError):
        print(line, flush=True)


def _announce(page_url: str | None, data: DataDirectory, seconds: float) -> None:
    print(f"darkroom is ready after {seconds:.1f} s: {page_url or 'emulators only, no page'}")
    if page_url is not None:
        print(f"Operator page: {page_url}operator")
    print(f"State and logs: {data.path}", flush=True)


def _print_exports(stack: LocalStack) -> None:
    """Print the environment for a shell that runs the API or a worker."""
    for line in shell_exports({**stack.environment, **no_proxy_environment(os.environ)}):
        print(line, flush=True)


def _stop_on_signals(stack: LocalStack) -> None:
    """Stop gracefully on the first signal, and at once on the second."""

    def on_signal(_number: int, _frame: object) -> None:
        if stack.interrupted.is_set():
            stack.hurry.set()
        else:
            stack.interrupted.set()
            _report("Stopping; workers may finish their tasks. Press Ctrl-C again to stop at once.")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def main() -> None:
    try:
        app()
    except LocalStackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
