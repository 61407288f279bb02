"""What a check finds."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from haepo_bench.errors import in_words


class Fault(Exception):
    """A check that fails.

    Args:
        problem: what is wrong, in one sentence.
        again: Python that shows it.
    """

    def __init__(self, problem: str, again: str = "") -> None:
        self.problem, self.again = problem, again
        super().__init__(problem)


class NotApplicable(Exception):
    """A check that has nothing to look at; the message says why."""


class Check(NamedTuple):
    """One thing to look at.

    Args:
        name: what holds where it passes.
        run: raises Fault or NotApplicable.
    """

    name: str
    run: Callable[[], None]


class CheckResult(NamedTuple):
    """What became of a check.

    Args:
        problem: empty where it passed.
        skipped: why it did not apply; empty where it did.
    """

    check: str
    problem: str = ""
    again: str = ""
    skipped: str = ""


def carry_out(checks: Iterable[Check]) -> Iterator[CheckResult]:
    """Each check's finding, as soon as it is there; whatever the code that is looked at raises is one."""
    for check in checks:
        try:
            check.run()
        except NotApplicable as reason:
            yield CheckResult(check.name, skipped=str(reason))
        except Fault as fault:
            yield CheckResult(check.name, fault.problem, fault.again)
        except (Exception, SystemExit) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            yield CheckResult(check.name, f"{in_words(error)} ({place})".replace("\n", " "))
        else:
            yield CheckResult(check.name)
