"""haepo_bench.api: the public names, and that a program can do what the command line does."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ROOT, run_apart

from haepo_bench import api

SUITE = """
name: tiny
seeds: 3
evaluation: {episodes: 2, every: 20}
tasks: [{id: bandit/pi-squared, budget: {env_steps: 40}}]
algorithms: [{use: reinforce, params: {trajectories: 4, hidden: [8]}}]
execution: {workers: 1}
"""

PROGRAM = """
from haepo_bench import api

plan = api.load_suite("tiny.yaml", sets=["seeds=20"])
outcome = api.run(plan, results="results", workers=2)
assert outcome.exit_code == 0 and outcome.complete and outcome.asked == 20, outcome
(frames,) = api.read_runs("results")
assert len(frames.runs) == 20 and len(frames.curves) == 60, frames

document = api.report("results")
(suite,) = document.suites
assert (suite.runs_shown, suite.runs_planned) == (20, 20)
page = api.write_report(document, "pages")[0]
assert "haepo" in page.read_text()

(compared,) = api.compare("results", "results").suites
assert len(compared.cells) == 1

api.record_baseline("results", "b.json", reason="for a test", min_seeds=20)
assert api.check("results", "b.json").exit_code == 0
assert api.gate(plan, "b.json", results="gate").exit_code == 0

try:
    api.load_suite("none.yaml")
except api.UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_program_does_what_the_command_line_does(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "none.yaml" in done.stdout
    assert "0 runs to do" in run_apart("run", "tiny.yaml", "--set", "seeds=20", "--dry-run", cwd=tmp_path).out


def test_curves_are_imported(tmp_path: Path) -> None:
    (imported,) = api.import_curves([ROOT / "examples" / "import_curves" / "mapping.yaml"], results=tmp_path)
    assert imported.new == len(imported.records) > 0
    assert api.report(tmp_path).suites[0].runs_shown == imported.new


@pytest.mark.parametrize("name", api.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(api, name))
