"""The command line: python -m local_stack up | down | status | logs."""

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from functools import partial
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
from local_stack.views.logs import chosen_logs, follow, show
from local_stack.views.metrics import fetched_metrics, told_metrics
from local_stack.views.models import model_lines, workers_by_model
from local_stack.views.shell_exports import shell_exports
from local_stack.views.traces import read_spans, told_traces

NOT_RUNNING_EXIT_CODE = 3  # as in `systemctl status`

app = typer.Typer(
    help="The whole of darkroom on this machine: emulators, API, worker. No cloud, no GPU, no Docker.",
    no_args_is_help=True,
    add_completion=False,
)
DataDirOption = Annotated[
    Path, typer.Option("--data-dir", envvar="DATA_DIR", help="Where state and logs are kept.")
]
DEFAULT_DATA_DIR = Path(".darkroom")


@app.command()
def up(
    *,
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65535, help="The page's port; all others are free ones.")
    ] = 8080,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    workers: Annotated[
        int | None,
        typer.Option(
            envvar="WORKERS",
            min=0,
            help="How many workers to start.",
            show_default="1, or one for each share",
        ),
    ] = None,
    worker_models: Annotated[
        str | None,
        typer.Option(
            envvar="WORKER_MODELS",
            metavar="SHARES",
            help="Which models each worker serves: a share for each worker, separated by semicolons, its models by "
            "commas, as in 'tiny-a,tiny-b;tiny-xl'. The same share twice is two workers.",
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
            show_default="the embedded one, with the demo model",
        ),
    ] = None,
    java: Annotated[
        Path | None, typer.Option(envvar="DARKROOM_JAVA", help="The Java to run the emulators with.")
    ] = None,
    emulators_only: Annotated[
        bool, typer.Option("--emulators-only", help="Without API and worker, to run those by hand.")
    ] = False,
    rules: Annotated[
        Path,
        typer.Option(
            help="Firestore's security rules.", dir_okay=False, exists=True, show_default="the project's"
        ),
    ] = PROJECT_RULES,
    observe: Annotated[
        bool, typer.Option("--observe", help="Write traces under the data directory, to read with `traces`.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start everything, wait until it is ready, and run until Ctrl-C.

    The emulators' jars come from PUBSUB_EMULATOR_JAR and FIRESTORE_EMULATOR_JAR, else from an installed Google Cloud
    CLI, else from a checked download.
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
        observes=observe,
        rules=rules.resolve(),
        java=java,
    )
    settings.pools()  # fail early for models that do not fit
    # Before any process starts, and while Ctrl-C still ends this program directly: downloads may
    # take minutes.
    for product in (PUBSUB, FIRESTORE):
        find_java(at_least=find_jar(product, say=print).java_needed, given=java)
    if detach:
        options = ["--port", str(port), "--rules", str(rules.resolve())]
        options += ["--workers", str(workers)] if workers is not None else []
        options += ["--worker-models", worker_models] if worker_models else []
        options += ["--model-catalog", str(model_catalog.resolve())] if model_catalog else []
        options += ["--java", str(java)] if java else []
        options += ["--emulators-only"] if emulators_only else []
        options += ["--observe"] if observe else []
        state = start_detached(data, options)
        for notice in state.notices:
            print(notice)
        _announce(state.page_url, data, time.monotonic() - started)
        return
    # Flushed, so that it also reaches the log of a detached stack.
    stack = LocalStack(settings, say=partial(print, flush=True))
    _stop_on_signals(stack)
    try:
        with stack:
            _announce(stack.page_url, data, time.monotonic() - started)
            if emulators_only:
                _print_exports(stack)
            if ready_fd is None:
                print("Ctrl-C stops it.", flush=True)
            else:  # detached: the parent process waits at the other end of a pipe
                os.write(ready_fd, b"1")
                os.close(ready_fd)
            stack.watch()
    except StartInterruptedError as error:
        print(error)
    print("Stopped.", flush=True)


@app.command()
def down(data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Stop the running stack and wait until it has ended."""
    data = DataDirectory(data_dir)
    why_nothing_runs = data.why_nothing_runs()  # also clears the state of a crashed stack
    print("Stopped." if stop_running(data) else why_nothing_runs)


@app.command()
def status(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what runs, on which ports, how often it was restarted, and how many workers serve each model.

    Exits with 3 when nothing runs, and says why.
    """
    data = DataDirectory(data_dir)
    last = data.state()
    state = last if data.is_in_use() else None
    models = workers_by_model(state.ports.get("api")) if state else {}
    if as_json:
        stopped = {"phase": "stopped", "failure": last.failure if last else None}
        print(json.dumps({**asdict(state), "models": models} if state else stopped, indent=2))
    elif state is not None:
        print(f"{state.phase} since {state.started_at}, page: {state.page_url}, logs: {data.logs}")
        for name in sorted({*state.ports, *state.pids}):
            port, pid = state.ports.get(name, "–"), state.pids.get(name, "–")
            print(f"  {name:<20} port {port:<7} pid {pid:<9} restarts {state.restarts.get(name, 0)}")
        for line in model_lines(models):
            print(f"  {line}")
    else:
        print(data.why_nothing_runs())
    if state is None:
        raise typer.Exit(NOT_RUNNING_EXIT_CODE)


@app.command()
def metrics(data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Show what the API and the workers count. Exits with 3 when nothing runs."""
    data = DataDirectory(data_dir)
    state = data.state() if data.is_in_use() else None
    if state is None:
        print(data.why_nothing_runs())
        raise typer.Exit(NOT_RUNNING_EXIT_CODE)
    for name, text in fetched_metrics(state.ports).items():
        print(name)
        for line in told_metrics(text):
            print(f"  {line}")


@app.command()
def traces(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many of the latest.")] = 5,
) -> None:
    """Show the latest traces of tasks, span by span, of a stack that was started with --observe."""
    folder = DataDirectory(data_dir).traces
    lines = list(told_traces(read_spans(folder), count=count))
    print("\n".join(lines) or f"No task was traced in {folder} yet; `make up OBSERVE=1` writes traces.")


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="One process; without it, all.")] = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of each log's last lines.")] = 20,
) -> None:
    """Show the processes' logs."""
    paths = chosen_logs(DataDirectory(data_dir).logs, name)
    try:
        show(paths, lines=lines, write=print)
        sys.stdout.flush()
        if following:
            for _ in follow(paths, print):
                sys.stdout.flush()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # the reader, such as `| head`, has closed the pipe
        # Python flushes stdout at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
def java() -> None:
    """Show the Java that runs the emulators. Exits with 1 when there is none that can."""
    print(find_java(at_least=max(java_needed(PUBSUB), java_needed(FIRESTORE))))


def _announce(page_url: str | None, data: DataDirectory, seconds: float) -> None:
    print(f"darkroom is ready after {seconds:.1f} s: {page_url or 'emulators only, no page'}")
    if page_url is not None:
        print(f"For its operators: {page_url}operator")
    print(f"State and logs: {data.path}", flush=True)


def _print_exports(stack: LocalStack) -> None:
    """Print the environment for a shell in which the API or a worker is run by hand."""
    for line in shell_exports({**stack.environment, **no_proxy_environment(os.environ)}):
        print(line, flush=True)


def _stop_on_signals(stack: LocalStack) -> None:
    """The first signal requests an orderly stop, the second one an immediate stop."""

    def on_signal(_number: int, _frame: object) -> None:
        if stack.interrupted.is_set():
            stack.hurry.set()
        else:
            stack.interrupted.set()
            print("Stopping; the worker may finish what it holds. Again to hurry.", flush=True)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def main() -> None:
    try:
        app()
    except LocalStackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
