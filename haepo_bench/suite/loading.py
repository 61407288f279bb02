"""A suite file, read and validated; every problem with its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from haepo_bench.errors import UserError
from haepo_bench.files import NotRegular, open_regular, reason_of
from haepo_bench.suite.document import MAX_CHARACTERS, Document, parse
from haepo_bench.suite.overrides import apply
from haepo_bench.suite.problems import problems_of
from haepo_bench.suite.schema import Suite


@dataclass(frozen=True)
class LoadedSuite:
    """A valid suite, with the document that later checks need to say where a problem is."""

    suite: Suite
    document: Document
    text: str


def load_suite(path: Path, sets: Sequence[str] = ()) -> LoadedSuite:
    """Reads a suite file, applies `--set` assignments in order, and validates the result.

    Raises:
        UserError: the file cannot be read as text, or is not a suite; SuiteError holds every problem found.
    """
    text = read_text(path)
    label = path.name
    document = parse(text, label, lambda line: f"{label}:{line}")
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        raise UserError(
            "a suite is a mapping with the keys name, seeds, tasks and algorithms",
            where=label,
            remedy="`haepo-bench init` writes a suite to start from",
        )
    for assignment in sets:
        apply(document, assignment)
    try:
        suite = Suite.model_validate(document.data)
    except ValidationError as error:
        # A value that could not be read stands as nothing in the document: its own problem says more.
        known = {problem.path for problem in problems}
        problems += [problem for problem in problems_of(error) if problem.path not in known]
    if problems:
        raise document.error(problems)
    return LoadedSuite(suite, document, text)


def read_text(path: Path, *, kind: str = "suite") -> str:
    """The text of a file that a person wrote.

    Args:
        kind: what the file is, for messages.

    Raises:
        UserError: a folder, not text, or not readable.
    """
    try:
        if path.is_dir():
            raise UserError(
                f"is a folder, not a {kind if 'file' in kind else f'{kind} file'}",
                where=str(path),
                remedy="name a .yaml file in it",
            )
        with open_regular(path) as file:
            # UTF-8 has at most four bytes a character; never read all of what may be a disk image.
            content = file.read(4 * MAX_CHARACTERS + 1)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 text (byte {error.start})",
            where=str(path),
            remedy=f"a {kind} is a YAML file: save it as UTF-8",
        ) from None
    except NotRegular as error:
        # A suite is kept with its results and names files beside it: a stream from another program has neither place.
        raise UserError(
            f"cannot be read: {reason_of(error)}", where=str(path), remedy="save it as a file first, and name that"
        ) from None
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot be read: {reason}", where=str(path)) from None
