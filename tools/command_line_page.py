"""Writes the commands of docs/reference/command-line.md below its marker, from the program's own help.

Run it after a change of a command, an option or its help: python tools/command_line_page.py
"""

import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from haepo_bench.cli.main import app

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "command-line.md"
MARKER = "<!-- Below: python tools/command_line_page.py -->"


def with_commands(page: str) -> str:
    """The page with the text below its marker made anew."""
    head, marker, _ = page.partition(MARKER)
    if not marker:
        raise ValueError(f"{PAGE} has no line {MARKER}")
    return f"{head}{MARKER}\n\n" + "\n".join(commands())


def commands() -> Iterator[str]:
    """Markdown, a section for each command."""
    built: Any = typer.main.get_command(app)
    callbacks = {
        info.name or info.callback.__name__: info.callback for info in app.registered_commands if info.callback
    }
    for name, command in built.commands.items():
        kinds = kinds_of(callbacks[name])
        words = [name, "[OPTIONS]"]
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                place = parameter.metavar or parameter.name.upper()
                words.append(place if parameter.required else f"[{place}]")
        yield f"### `haepo-bench {name}`\n"
        yield f"```text\nhaepo-bench {' '.join(words)}\n```\n"
        for paragraph in command.help.split("\n\n"):
            yield textwrap.fill(" ".join(paragraph.split()), 120) + "\n"
        yield "| | default | meaning |\n|---|---|---|"
        for parameter in command.params:
            meaning = cell(parameter.help or "")
            kind = kinds[parameter.name]
            if issubclass(kind, Enum):
                meaning += f" One of {', '.join(f'`{member.value}`' for member in kind)}."
            yield f"| {called(parameter, kind)} | {default_of(parameter)} | {meaning} |"
        yield ""


def kinds_of(callback: Callable[..., Any]) -> dict[str, type]:
    """The class of each parameter's values: of `list[Path] | None` it is Path."""
    return {name: _class(hint) for name, hint in get_type_hints(callback).items() if name != "return"}


def _class(hint: Any) -> type:
    inner = [argument for argument in get_args(hint) if argument is not type(None)]
    if inner:
        return _class(inner[0])
    if not isinstance(hint, type):
        raise TypeError(f"{hint} is not a class")
    return hint


def called(parameter: Any, kind: type) -> str:
    """The parameter as it is written on the command line, with what stands for its value."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    usual = {int: "N", float: "NUMBER", Path: "PATH"}.get(kind, "NAME" if issubclass(kind, Enum) else "TEXT")
    value = "" if parameter.is_flag else f" {parameter.metavar or usual}"
    return f"`{', '.join(parameter.opts)}{value}`"


def default_of(parameter: Any) -> str:
    """The value where the parameter is left out, or that it is required."""
    if parameter.required:
        return "required"
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return "" if default is None or default is False else f"`{default}`"


def cell(text: str) -> str:
    """One line of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(with_commands(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
