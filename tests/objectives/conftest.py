"""TRL's trainers, built once for all comparisons with them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from trl_support import Trl, built, table


@pytest.fixture(scope="session")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> Trl:
    return built(tmp_path_factory.mktemp("trl"))


@pytest.fixture(scope="session", autouse=True)
def differences() -> Iterator[None]:
    """The table of largest differences, where it is asked for."""
    yield
    if "OBJECTIVE_TABLE" in os.environ:
        Path(os.environ["OBJECTIVE_TABLE"]).write_text(table(), encoding="utf-8")
