"""A suite that was run with every tool that is installed here."""

import importlib.util

import pytest
import yaml
from cli_support import run_apart
from loggers_support import SUITE, TOOLS, Logged, read_records


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("logged")
    (folder / "small.yaml").write_text(yaml.safe_dump(SUITE))
    there = [name for name in TOOLS if importlib.util.find_spec(name) is not None]
    done = run_apart("run", "small.yaml", *(word for name in there for word in ("--log", name)), cwd=folder)
    assert done.code == 0, done.err
    assert "stopped" not in done.err
    results = folder / "results" / "small"
    return Logged(folder, results, read_records(results))
