"""Writes `SUITE.tuned.yaml`: the settings found, to be reviewed and committed by people.

It names no clock, no machine and no worker: the same results give the same bytes.
"""

import contextlib
import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from haepo_bench.errors import UserError
from haepo_bench.files import read_regular, refuse_special
from haepo_bench.results.searches import DeclaredSearch, Trial
from haepo_bench.results.writing import translate_os_errors, write_atomically
from haepo_bench.suite.document import scalar
from haepo_bench.suite.draws import draw
from haepo_bench.suite.plan import Plan
from haepo_bench.suite.tuned import FORMAT, FoundSettings, TunedAlgorithm, TunedFile, TunedSearch, refuse_newer
from haepo_bench.suite.tuned_notes import task_hashes
from haepo_bench.verdicts.choosing import Choice, Chooser

_OPTION = "--out"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def tuned_file(plan: Plan, chooser: Chooser) -> TunedFile:
    """What was found; algorithms whose settings are not known yet, or that have nothing to search, are absent.

    Args:
        plan: of the search.
    """
    search = chooser.search
    found = {name: _algorithm(plan, chooser, name) for name in chooser.searched}
    return TunedFile(
        format=FORMAT,
        suite=plan.suite,
        declaration=plan.declaration,
        search=TunedSearch(
            trials=search.trials,
            seeds=search.seeds,
            final=search.final,
            replicates=search.replicates,
            measure=search.measure,
            tasks={cell.task: cell.budget for cell in plan.cells},
            task_hashes=task_hashes(plan.cells),
        ),
        algorithms={name: each for name, each in found.items() if each is not None},
    )


def _algorithm(plan: Plan, chooser: Chooser, name: str) -> TunedAlgorithm | None:
    search, tasks = chooser.search, chooser.tasks(name)
    choice = chooser.found(name, tasks)
    if choice is None:
        return None
    single = {task: chooser.found(name, [task]) for task in tasks} if len(tasks) > 1 else {}
    return TunedAlgorithm(
        **_settings(plan.suite, search, choice).model_dump(),
        uses=next(cell.uses for cell in plan.cells if cell.algorithm == name),
        params=to_jsonable_python(plan.own_params[name]),
        spaces=search.spaces[name],
        draws=search.trials * len(search.replicates),
        failed=chooser.failed(name),
        no_assay=chooser.without_say(name),
        per_task={task: _settings(plan.suite, search, own) for task, own in single.items() if own is not None},
    )


def _settings(suite: str, search: DeclaredSearch, choice: Choice) -> FoundSettings:
    spaces = search.spaces_of(choice.trial.algorithm)
    settings = draw(suite, choice.trial, spaces)
    return FoundSettings(
        settings=settings,
        # A score of -inf is that of runs that all failed where the least score is not known.
        score=max(choice.score, -1e308),
        replicate=choice.trial.replicate,
        trial=choice.trial.number,
        space_too_small=[key for key, value in settings.items() if spaces[key].edge(value) is not None],
    )


def settings_of(suite: str, search: DeclaredSearch, trial: Trial) -> dict[str, Any]:
    """The hyper-parameters of a trial."""
    return draw(suite, trial, search.spaces_of(trial.algorithm))


def check_target(path: Path, suite: str) -> None:
    """Before anything is run: whether settings found for a suite can be written here, in place of no other file.

    Raises:
        UserError: they cannot, or something else than settings of the suite stands there.
    """
    if path.is_dir():
        raise UserError("is a folder, not a file", where=str(path), remedy=f"name a file in it with {_OPTION}")
    with translate_os_errors(path, option=_OPTION):
        refuse_special(path)
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{above} is not a folder")
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        there = read_regular(path) if path.exists() else None
    found = {} if there is None else _content(there)
    refuse_newer(found, str(path))
    if there is not None and not _is_of(found, suite):
        raise UserError(
            f"is not a file of settings found for the suite '{suite}', and would be replaced by one",
            where=str(path),
            remedy=f"move it away, or name another file with {_OPTION}",
        )


def _content(file: bytes) -> dict[Any, Any]:
    """What a file says, if it is a mapping in YAML."""
    with contextlib.suppress(yaml.YAMLError, UnicodeDecodeError, RecursionError):
        found = yaml.safe_load(file.decode("utf-8-sig"))
        return found if isinstance(found, dict) else {}
    return {}


def _is_of(found: Mapping[Any, Any], suite: str) -> bool:
    """Whether it has the keys of settings found for a suite, as `render` writes them."""
    return found.keys() >= TunedFile.model_fields.keys() and found["suite"] == suite


def write_tuned(path: Path, tuned: TunedFile) -> str:
    """Writes the file, unless it says the same already; says in a word what became of it.

    Raises:
        UserError: it cannot be written.
    """
    text = render(tuned)
    try:
        before = read_regular(path)
    except OSError:
        before = None
    if before == text.encode("utf-8"):
        return "unchanged"
    write_atomically(path, text, option=_OPTION)
    return "written" if before is None else "written in place of another version"


def render(tuned: TunedFile) -> str:
    """The file's text."""
    head = [
        f"# Settings found by `haepo-bench tune` for the suite {tuned.suite}: one for all tasks, and one for each.",
        "# They are one choice from all replicates, whose scores are not a fair sample of searches:",
        "# what an algorithm reaches at equal search is in the report. Use them with",
        "#     haepo-bench run SUITE --tuned FILE",
        "",
    ]
    return "\n".join([*head, *_lines(tuned.model_dump(mode="json"), "")]) + "\n"


def _lines(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    """A mapping as YAML: blocks of blocks, the innermost ones on one line."""
    for key, value in mapping.items():
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            yield f"{indent}{_key(key)}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{_key(key)}: {_inline(value)}"


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) and scalar(key) == key else _quoted(key)


def _quoted(text: str) -> str:
    """As YAML quotes it, which reads some characters otherwise than JSON."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize).rstrip("\n")
