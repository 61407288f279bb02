"""For other people's test suites: a test that fails where their learning curves got worse.

    def test_learning_curves(assert_no_regression):
        assert_no_regression("suites/regression.yaml", baseline="baselines/regression.json")

pytest loads this module at every start wherever haepo-bench is installed, so it imports nothing: the gate runs in a
process of its own, which also keeps its workers, signals and torch out of the test process.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path

import pytest

_Path = str | PathLike[str]

_WHY = {
    1: "learning curves got worse",
    2: "something failed or could not be decided",
    3: "nothing to compare with",
    4: "the gate could not start",
    130: "interrupted",
}


def assert_no_regression(
    suite: _Path,
    *,
    baseline: _Path,
    seeds: int | None = None,
    alpha: float | None = None,
    min_effect: float | None = None,
    noninferiority: bool = False,
    workers: int | None = None,
    results: _Path | None = None,
    root: _Path | None = None,
) -> None:
    """Runs `haepo-bench gate` and fails the test, with the table of verdicts, unless it ends with exit code 0.

    Args:
        suite: a suite file, or the name of a shipped suite.
        baseline: as `haepo-bench baseline` wrote it.
        seeds: fresh ones of each cell that is not identical; this and what follows as the command has it.
        noninferiority: a cell is green only where a drop of `min_effect` is ruled out.
        results: folder for the runs, which are used again while the code stays the same.
        root: folder that relative paths start from, and whose git commit fresh seeds are derived from; the current one
            where left out.
    """
    options = {
        "--seeds": seeds,
        "--alpha": alpha,
        "--min-effect": min_effect,
        "--workers": workers,
        "--results": results,
    }
    command = [sys.executable, "-m", "haepo_bench", "gate", str(suite), "--baseline", str(baseline), "--quiet"]
    command += [text for name, value in options.items() if value is not None for text in (name, str(value))]
    command += ["--require", "noninferiority"] if noninferiority else []
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        why = _WHY.get(done.returncode, "the gate broke down")
        said = "\n".join(part.strip("\n") for part in (done.stdout, done.stderr) if part.strip())
        pytest.fail(f"haepo-bench gate {suite}: {why} (exit code {done.returncode})\n{said}", pytrace=False)


@pytest.fixture(name="assert_no_regression")
def _assert_no_regression(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`haepo_bench.pytest_plugin.assert_no_regression` with paths that start at the root folder of the tests.

    Runs are in pytest's cache folder unless another one is named: a second test run uses those that still hold.
    """
    cache = request.config.cache if request.config.pluginmanager.hasplugin("cacheprovider") else None
    results = cache.mkdir("haepo-bench") if cache is not None else None
    return partial(assert_no_regression, root=Path(request.config.rootpath), results=results)
