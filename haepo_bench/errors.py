"""Errors that a user can do something about, and the exit codes of the program.

Every error says what is wrong, where, and what to do. Anything else that reaches the top of the program is a fault of
ours and exits with `INTERNAL_ERROR`.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitCode(IntEnum):
    """The program's exit codes (docs/architecture.md)."""

    OK = 0
    REGRESSION = 1
    RUN_FAILED = 2
    NOT_COMPARABLE = 3
    USAGE = 4
    INTERNAL_ERROR = 70
    INTERRUPTED = 130


class UserError(Exception):
    """Something that the user can mend.

    Args:
        problem: what is wrong, one sentence.
        where: the place, such as `suite.yaml:12, tasks[1].budget`; empty where there is none.
        remedy: what to do about it; empty where the problem says it all.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    @property
    def located(self) -> str:
        """The problem with its place, without the remedy."""
        return f"{self.where}: {self.problem}" if self.where else self.problem

    def __str__(self) -> str:
        return f"{self.located}\n  {self.remedy}" if self.remedy else self.located


class UnknownName(UserError):
    """A name that is in no catalogue; suggests near ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name = kind, name
        super().__init__(f"unknown {kind} '{name}'", remedy=did_you_mean(name, known, kind=kind) or hint)


class ParameterError(UserError):
    """A hyper-parameter that an algorithm does not have, or a value it does not take."""

    def __init__(self, parameter: str, problem: str, *, remedy: str = "") -> None:
        self.parameter = parameter
        super().__init__(problem, where=parameter, remedy=remedy)


class TaskError(UserError):
    """A task address that cannot be made: a bad variant, a missing extra, no time limit.

    Attributes:
        key: of the task's entry in a suite that is to blame, such as `reward_model`; empty for the address as a whole.
    """

    key: str = ""


class EnvironmentFault(UserError):
    """What an environment returned is of no use: a reward that is not finite, an observation of another shape.

    It fails the run of the seed that saw it. A policy that diverged is another matter (`Recorder.diverged`).
    """

    def __init__(self, environment: str, problem: str, *, remedy: str = "") -> None:
        self.environment = environment
        super().__init__(
            f"the environment {environment} {problem}",
            remedy=remedy or "this is not the algorithm's doing: correct the environment, then --retry-failed",
        )


@contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Names the key that is to blame for a TaskError raised within, unless that is known already."""
    try:
        yield
    except TaskError as error:
        error.key = error.key or key
        raise


def did_you_mean(name: str, known: Iterable[str], *, kind: str = "name", family: str = "") -> str:
    """One sentence that suggests names near `name`, else lists those known (at most 12); `family` goes before each."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"'{family}{n}'" for n in near) + "?"
    if not names:
        return ""
    listed = ", ".join(f"{family}{n}" for n in names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known {kind}s: {listed}"
