"""Options that several commands share, passed to each command as one value."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

Maker = Callable[..., Any]


def taking(**makers: Maker) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command whose named parameters are built from the options of other functions.

    `@taking(client=client_of)` adds all options of `client_of` to a command and passes the result
    as `client`. Context managers are entered, and exited when the command ends.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters
        made = {name: inspect.signature(maker).parameters for name, maker in makers.items()}
        options = {
            **{name: parameter for name, parameter in own.items() if name not in makers},
            **{option.name: option for bundle in made.values() for option in bundle.values()},
        }

        def run(**given: Any) -> None:
            with ExitStack() as exits:
                for name, bundle in made.items():
                    value = makers[name](**{option: given.pop(option) for option in bundle})
                    is_open = isinstance(value, AbstractContextManager)
                    given[name] = exits.enter_context(value) if is_open else value
                command(**given)

        return _disguised(run, command, options)

    return decorate


def _disguised(
    run: Callable[..., None], command: Callable[..., None], options: Mapping[str, inspect.Parameter]
) -> Callable[..., None]:
    """Give `run` the command's name and docstring and all options, for Typer."""
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    named = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options.values()]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in named}
    return run
