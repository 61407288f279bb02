"""Other people's code kept from writing on the terminal while a suite is only read or a task described."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO


@contextmanager
def hushed() -> Iterator[None]:
    """What is printed or warned of within is dropped: in a run the same code says it again, in the run's log."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield
