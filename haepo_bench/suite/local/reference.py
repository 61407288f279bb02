"""How a suite names a file of its own: `./median.py`, `./median.py:MedianBaseline`, `./maze.py:make/7`.

Only files in the suite's folder or below it can be named. Nothing is opened here.
"""

import re
from pathlib import Path
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.tasks.address import Address
from haepo_bench.tasks.address import parse as parse_address

#: What a task file defines where nothing else is named.
MAKE = "make"
_SUFFIX = ".py"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_NAMED = re.compile(r"(?P<path>.+?\.py)(?::(?P<attribute>[^/:]*))?(?:/(?P<variant>.*))?", re.DOTALL | re.IGNORECASE)
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEADS_OUT = re.compile(r"[/\\~]|\.\.([/\\]|$)|[A-Za-z]:[/\\]")
_ONLY_HERE = "code of a suite is taken only from its own folder or below"


class Reference(NamedTuple):
    """A file of a suite's folder, and what in it is meant.

    Args:
        path: relative to the folder, with slashes: `losses/median.py`.
        attribute: name of a class or function; empty where the file has one that must be meant.
        variant: the rest of a task's address, behind the slash.
    """

    path: str
    attribute: str = ""
    variant: str = ""

    @property
    def file(self) -> str:
        """The file as a suite writes it."""
        return f"./{self.path}"

    @property
    def text(self) -> str:
        """The whole reference as a suite writes it."""
        attribute = f":{self.attribute}" if self.attribute else ""
        return f"{self.file}{attribute}{f'/{self.variant}' if self.variant else ''}"

    @property
    def module(self) -> str:
        """Name of the module, dotted, from the folder on: `losses.median`."""
        return self.path.removesuffix(_SUFFIX).replace("/", ".")

    @property
    def stem(self) -> str:
        """The file's name without its ending: what is made from it is called so unless it has a name of its own."""
        return self.module.rpartition(".")[2]

    @property
    def name(self) -> str:
        """What a task is called in results: `maze/7`, or `maze:other/7` where the file has several."""
        attribute = "" if self.attribute in ("", MAKE) else f":{self.attribute}"
        return f"{self.stem}{attribute}{f'/{self.variant}' if self.variant else ''}"


def is_file(text: str) -> bool:
    """Whether a suite means a file, and not a name of the catalogue."""
    return text.startswith((".", "/", "~"))


def on_the_command_line(text: str) -> tuple[Path, str] | None:
    """The folder and the reference of a file that a command names, from wherever it is; None for other names.

    Below the current folder that is the folder, so that a file may import what is above it.
    """
    named = _NAMED.fullmatch(text)
    if named is None or (not is_file(text) and not Path(named["path"]).is_file()):
        return None
    path = Path(named["path"]).expanduser()
    behind = text[len(named["path"]) :]
    if path.is_absolute() or ".." in path.parts:
        return path.parent, f"./{path.name}{behind}"
    return Path.cwd(), f"./{path.as_posix()}{behind}"


def parse(text: str) -> Reference:
    """Takes a reference apart.

    Raises:
        UserError: it is not one, or leads out of the suite's folder.
    """
    named = _NAMED.fullmatch(text)
    if named is None:
        raise UserError(f"'{text}' names no Python file", remedy="write for example ./median.py")
    path, attribute, variant = named["path"], named["attribute"], named["variant"]
    parts = path.removeprefix("./").split("/")
    if _LEADS_OUT.match(path) or "\\" in path or ".." in parts:
        raise UserError(
            f"'{path}' is not below the suite's folder: {_ONLY_HERE}",
            remedy=f"copy the file there and write ./{re.split('[/' + chr(92) * 2 + ']', path)[-1]}",
        )
    if not path.startswith("./"):
        raise UserError(f"'{path}' is a Python file", remedy=f"a file of the suite's folder is written ./{path}")
    stem = parts[-1][: -len(_SUFFIX)]
    if not path.endswith(_SUFFIX) or not all(_PART.fullmatch(part) for part in (*parts[:-1], stem)):
        raise UserError(
            f"'{path}' cannot be imported under that name",
            remedy="name the file, and the folders it is in, with letters, digits, '_' and '-', and end it with .py",
        )
    if stem == "__init__":
        raise UserError(f"'{path}' is a package's file", remedy="name a file of another name")
    if attribute is not None and not _ATTRIBUTE.fullmatch(attribute):
        raise UserError(
            f"'{attribute}' is not the name of a class or function", remedy=f"write for example {path}:MyClass"
        )
    return Reference("/".join(parts), attribute or "", variant or "")


def local_name(address: str) -> str | None:
    """What a task of a file is called in results: `noise(maze/7,0.5)`; None for addresses of the catalogue.

    Also None where the address is wrong, which is said when it is looked up.
    """
    try:
        layers, innermost = parse_address(address)
        return str(Address(layers, parse(innermost).name)) if is_file(innermost) else None
    except UserError:
        return None
