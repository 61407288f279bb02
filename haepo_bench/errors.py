"""Errors that a user can do something about, and the exit codes of the program.

Every error says what is wrong, where, and what to do. Anything else that reaches the top of the program is a fault of
ours and exits with `INTERNAL_ERROR`.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

#: Most names that a message lists, and characters of a name that are compared.
_LISTED = 20
_LONGEST_NAME = 100


class ExitCode(IntEnum):
    """The program's exit codes (docs/explanation/architecture.md)."""

    OK = 0
    REGRESSION = 1
    RUN_FAILED = 2
    NOT_COMPARABLE = 3
    USAGE = 4
    INTERNAL_ERROR = 70
    INTERRUPTED = 130


class UserError(Exception):
    """Something that the user can fix.

    Args:
        problem: one sentence: what is wrong.
        where: the place, such as `suite.yaml:12, tasks[1].budget`; empty where there is none.
        remedy: advice on what to do; empty where the problem says it all.
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
    """A name that is in no catalogue; suggests near ones.

    Args:
        also: names that are suggested, and not listed.
        more: the command that lists all.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, also: Iterable[str] = (), more: str = "") -> None:
        self.kind, self.name = kind, name
        remedy = did_you_mean(name, known, kind=kind, also=also, more=more)
        super().__init__(f"unknown {kind} '{name}'", remedy=remedy)


class ParameterError(UserError):
    """A hyper-parameter that an algorithm does not have, or a value it does not take.

    Attributes:
        also: further ones that were found at the same time.
    """

    also: "tuple[ParameterError, ...]" = ()

    def __init__(self, parameter: str, problem: str, *, remedy: str = "") -> None:
        self.parameter = parameter
        super().__init__(problem, where=parameter, remedy=remedy)

    @classmethod
    def raise_all(cls, found: "Sequence[ParameterError]") -> None:
        """Raises the first, which holds the others; nothing where there is none."""
        if found:
            found[0].also = tuple(found[1:])
            raise found[0]


class TaskError(UserError):
    """A task address that cannot be made: a bad variant, a missing extra, no time limit.

    Args:
        key: key of the suite's task entry that is to blame, such as `reward_model`; empty for the address as a whole.
    """

    def __init__(self, problem: str, *, where: str = "", remedy: str = "", key: str = "") -> None:
        self.key = key
        super().__init__(problem, where=where, remedy=remedy)


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


def in_words(error: BaseException) -> str:
    """An exception of other people's code, `Type: text`; what gives its text is their code, too, and may fail."""
    try:
        text = str(error)
    except (Exception, SystemExit):
        text = "its text cannot be made"
    return f"{type(error).__name__}: {text}".removesuffix(": ")


@contextmanager
def blamed_on(key: str) -> Iterator[None]:
    """Names the key that is to blame for a TaskError raised within, unless that is known already."""
    try:
        yield
    except TaskError as error:
        error.key = error.key or key
        raise


@contextmanager
def task_errors(key: str) -> Iterator[None]:
    """Makes a TaskError of that key of any UserError raised within, unless it is one of a key."""
    with blamed_on(key):
        try:
            yield
        except TaskError:
            raise
        except UserError as error:
            raise TaskError(error.problem, where=error.where, remedy=error.remedy) from error


def did_you_mean(
    name: str,
    known: Iterable[str],
    *,
    kind: str = "name",
    family: str = "",
    also: Iterable[str] = (),
    more: str = "",
) -> str:
    """One sentence that suggests names near `name`, else lists those known.

    Args:
        family: goes before each name.
        also: names that are suggested, and not listed.
        more: what shows all of them, for lists too long to print.
    """
    names = sorted(set(known))
    near = _near(name, sorted({*names, *also}))
    if near:
        return "did you mean " + " or ".join(f"'{family}{n}'" for n in near) + "?"
    if not names:
        return more and f"see {more}"
    shown = names if len(names) <= _LISTED + 1 else names[:_LISTED]
    rest = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    pointer = f" ({more} shows all)" if rest and more else ""
    return f"known {kind}s: {', '.join(f'{family}{n}' for n in shown)}{rest}{pointer}"


def _near(name: str, names: Sequence[str]) -> list[str]:
    """At most three names that the user may have meant: in other case, without its family, abbreviated, misspelt."""
    key = _plain(name[:_LONGEST_NAME])
    plain = {candidate: _plain(candidate) for candidate in names}
    for alike in (
        [candidate for candidate in names if plain[candidate] == key],
        [candidate for candidate in names if plain[candidate].rpartition("/")[2] == key.rpartition("/")[2] != ""],
    ):
        if alike:
            return alike[:3]
    short = [candidate for candidate in names if _abbreviates(key, plain[candidate])]
    misspelt = difflib.get_close_matches(key, list(plain.values()), n=3, cutoff=0.6)
    return list(dict.fromkeys([*short, *(c for spelt in misspelt for c in names if plain[c] == spelt)]))[:3]


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().casefold())


def _abbreviates(short: str, long: str) -> bool:
    """Whether `lr` may stand for `learning-rate`, `clip` for `clip-range`, `entropy-coef` for `ent-coef`."""
    if len(short) < 2:
        return False
    parts, words = short.split("-"), long.split("-")
    if len(words) > 1 and short.replace("-", "") == "".join(word[:1] for word in words):
        return True
    if long.startswith(f"{short}-") or long.endswith(f"-{short}"):
        return True
    return len(parts) == len(words) > 1 and all(
        part and word and (part.startswith(word) or word.startswith(part))
        for part, word in zip(parts, words, strict=True)
    )
