"""What tests of imports share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import Outcome, run_here


@pytest.fixture
def take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`haepo-bench import` with these arguments, into the folder `results`."""

    def run(*arguments: object) -> Outcome:
        return run_here(capsys, "import", "--results", str(tmp_path / "results"), *map(str, arguments))

    return run
