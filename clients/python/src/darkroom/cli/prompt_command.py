"""Commands with a prompt, which may begin with a dash."""

from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand


class PromptCommand(TyperCommand):
    """A command whose prompt needs no `--` before it, unless it looks like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_value = {
            name: not getattr(option, "is_flag", False)
            for option in self.params
            for name in (*option.opts, *option.secondary_opts)
            if name.startswith("-")
        }
        return super().parse_args(ctx, with_prompt_last(args, takes_value))


def with_prompt_last(args: list[str], takes_value: dict[str, bool]) -> list[str]:
    """Move prompts that begin with a dash behind `--`.

    `takes_value` has the names of the options, and whether the next argument is their value.
    """
    if "--" in args:
        return args
    prompts = set(_prompts(args, takes_value))
    if not prompts:
        return args
    others = [argument for place, argument in enumerate(args) if place not in prompts]
    return [*others, "--", *(args[place] for place in sorted(prompts))]


def _prompts(args: Iterable[str], takes_value: dict[str, bool]) -> Iterator[int]:
    """Yield the places of arguments that begin with a dash but are neither options nor their values."""
    is_value = False
    for place, argument in enumerate(args):
        if not is_value and _is_prompt(argument, takes_value):
            yield place
        is_value = not is_value and takes_value.get(argument, False)


def _is_prompt(argument: str, options: Iterable[str]) -> bool:
    if not argument.startswith("-") or argument == "-" or argument.partition("=")[0] in options:
        return False
    is_one_word = not any(map(str.isspace, argument))
    return not is_one_word or not argument.strip("-")[:1].isalpha()
