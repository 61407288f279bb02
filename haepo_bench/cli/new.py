"""`haepo-bench new`: a Python file of one's own to start from, and the suite that tries it."""

import keyword
import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import yaml

from haepo_bench.cli.templates import ALGORITHM, ALGORITHM_SUITE, TASK, TASK_SUITE
from haepo_bench.errors import UserError
from haepo_bench.terminal import echo


class FileKind(StrEnum):
    """What a file can define."""

    ALGORITHM = "algorithm"
    TASK = "task"


_TEMPLATES = {FileKind.ALGORITHM: (ALGORITHM, ALGORITHM_SUITE), FileKind.TASK: (TASK, TASK_SUITE)}


def new(
    kind: Annotated[FileKind, typer.Argument(help="What the file defines.")],
    path: Annotated[Path, typer.Argument(help="Python file to write, such as median.py.", metavar="FILE")],
) -> None:
    """Write a commented Python file that runs as it is, and a suite next to it that tries it; overwrites nothing."""
    if path.suffix != ".py" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,40}", path.stem):
        raise UserError(
            f"'{path.name}' cannot be imported under that name",
            remedy="name a file of letters, digits, '_' and '-' that ends with .py, such as median.py",
        )
    suite = path.with_suffix(".yaml")
    words = re.split("[_-]+", path.stem)
    values = {"CLASS": "".join(word[:1].upper() + word[1:] for word in words if word), "STEM": path.stem}
    is_class = values["CLASS"].isidentifier() and not keyword.iskeyword(values["CLASS"])
    if not is_class or not isinstance(yaml.safe_load(path.stem), str):
        raise UserError(
            f"'{path.stem}' cannot be the name of a class and of a suite", remedy="take a word, such as median.py"
        )
    written = [Path(str(path)), suite]
    for file in written:
        if file.exists() or file.is_symlink():
            raise UserError("exists already and is not overwritten", where=str(file), remedy="name another file")
    for file, text in zip(written, _TEMPLATES[kind], strict=True):
        for name, value in values.items():
            text = text.replace(name, value)
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise UserError(
                f"cannot be written: {error.strerror}", where=str(file), remedy="name another file"
            ) from None
    echo(f"wrote {path} and {suite}\nnext: haepo-bench run {shlex.quote(str(suite))}")
