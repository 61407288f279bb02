"""A suite resolved by the worker that trains it afterwards.

To resolve a suite is to look up what it names, which imports the libraries that training needs. So the first worker
does it, while this process loads next to nothing: a command imports torch once per worker, and no time more.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.execution.worker import SuiteRequest
from haepo_bench.execution.worker_process import WorkerProcess
from haepo_bench.suite.plan import Plan

#: Among the hashes of what a worker has imported: code that no run of the plan executes.
_UNSELECTED = "unselected"


class SuiteWorker:
    """A worker that resolves suites, and is idle in between; close it."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = WorkerProcess(None)

    @property
    def ready(self) -> tuple[WorkerProcess, ...]:
        """The worker, to be given jobs; none where it has died."""
        return () if self._worker is None else (self._worker,)

    def load_plan(
        self,
        suite: str,
        sets: Sequence[str] = (),
        only: Sequence[str] = (),
        *,
        say: Callable[[str], None] = lambda line: None,
        **options: str | bool | None,
    ) -> Plan:
        """What `suite.resolve.load_plan` makes of the same arguments.

        Args:
            options: its keywords that are text or yes and no, such as `engine`.

        Raises:
            UserError: the suite cannot be run as it stands.
        """
        said: list[str] = []

        def once(line: str) -> None:
            if line not in said:
                said.append(line)
                say(line)

        if self._worker is not None:
            answer = _ask(self._worker, SuiteRequest(suite, tuple(sets), tuple(only), options), once)
            if answer.plan is not None:
                self._worker.foreign |= frozenset[str]().union(*(cell.foreign for cell in answer.plan.cells))
                if said and only:  # it may have imported what no selected cell executes
                    self._worker.foreign |= {_UNSELECTED}
                return answer.plan
            code = None if answer.alive else self._worker.exit_code
            self.close()
            if answer.doing and code is not None:  # this process would exit as well, without a word
                where, what = answer.doing
                raise UserError(
                    f"the process exited with code {code} while {what}",
                    where=where,
                    remedy="code that a suite names must not end the process: raise an exception in its place",
                )
        # The worker met a fault of ours, or was killed: here the same shows as what it is.
        from haepo_bench.suite.resolve import load_plan

        return load_plan(suite, sets, only, say=once, **options)  # type: ignore[arg-type]  # its own keywords

    def close(self) -> None:
        """Ends the worker."""
        for worker in self.ready:
            worker.kill()
            worker.connection.close()
        self._worker = None


class _Answer(NamedTuple):
    """What a worker made of a suite.

    Args:
        plan: None where it has none to give.
        alive: whether it has answered at all.
        doing: where in the suite and in words what it did last; None before it came to code of others.
    """

    plan: Plan | None
    alive: bool
    doing: tuple[str, str] | None


def _ask(worker: WorkerProcess, request: SuiteRequest, say: Callable[[str], None]) -> _Answer:
    doing: tuple[str, str] | None = None
    try:
        worker.connection.send(request)
        while True:
            message = worker.connection.recv()
            if message.kind == "said":
                say(message.content)
            elif message.kind == "doing":
                doing = message.content
            elif message.kind == "refused":
                problem, where, remedy, code = message.content
                error = UserError(problem, where=where, remedy=remedy)
                error.exit_code = ExitCode(code)
                raise error
            else:
                return _Answer(message.content, True, doing)
    except (EOFError, OSError):
        return _Answer(None, False, doing)
