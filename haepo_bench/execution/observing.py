"""Who hears what happens while jobs run, beside the store: the display, the live state, loggers."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from haepo_bench.execution.executor import Event
from haepo_bench.execution.jobs import Job
from haepo_bench.results.record import Failure
from haepo_bench.suite.plan import PlannedRun
from haepo_bench.terminal import echo


@dataclass(frozen=True)
class Retried:
    """Runs of a job that are tried again because the machine failed."""

    job: Job
    runs: tuple[PlannedRun, ...]
    failure: Failure


class Observer(Protocol):
    """Hears what happens, in the session's own thread: what takes long here keeps workers waiting.

    It is entered before the first event and left after the last, however the session ends. What is stored is shown
    after it was stored; Failed names only runs that are not tried again at once, and Retried the others.
    """

    #: How it is named where it fails.
    name: str

    def __enter__(self) -> "Observer": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, event: Event | Retried) -> None:
        """Takes in what happened."""
        ...


class Observers:
    """Several observers as one. What goes wrong in one is said once, and it hears nothing more: no run is lost."""

    name = "observers"

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)

    def __enter__(self) -> "Observers":
        for observer in list(self._observers):
            with self._guarded(observer):
                observer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for observer in list(self._observers):
            with self._guarded(observer):
                observer.__exit__(kind, error, traceback)

    def show(self, event: Event | Retried) -> None:
        """Tells all of them."""
        for observer in list(self._observers):
            with self._guarded(observer):
                observer.show(event)

    @contextlib.contextmanager
    def _guarded(self, observer: Observer) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a library raises
            self._observers.remove(observer)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            echo(f"{observer.name} stopped, the runs go on: {reason}", err=True)
