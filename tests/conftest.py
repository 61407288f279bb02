"""What all tests share."""

import sys
from collections.abc import Generator, Iterator

import hypothesis
import pytest
from caused_warnings import caused_are_errors

# The same examples every time, and no deadline: a busy machine is no failure.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True, trylast=True)  # within pytest's own recording
def pytest_collection() -> Generator[None, object, object]:
    with caused_are_errors():
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    with caused_are_errors():
        return (yield)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in workers, where torch computes with one thread; importing it is left to the tests that need it."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
