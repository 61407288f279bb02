"""The program, run in this process or in one of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from haepo_bench.cli.main import program

ROOT = Path(__file__).parent.parent


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """In this process: fast."""
    capsys.readouterr()
    code = program(arguments)
    out, err = capsys.readouterr()
    return Outcome(code, out, err)


def run_apart(*arguments: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> Outcome:
    """In a process of its own, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


PICKY = """
from pathlib import Path

from haepo_bench.errors import ParameterError
from haepo_bench.results.record import Information
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription


class PickyAlgorithm(Algorithm):
    batches_seeds = False
    notes = ("does not learn",)
    information = Information(told="returns", critic=False, discount=None, label="picky")

    def __init__(self, parameters):
        self.parameters = parameters

    def train(self, task, seeds, recorder, *, device):
        raise RuntimeError("never called")


class Picky(AlgorithmDefinition):
    name = "picky"
    summary = "an algorithm of somebody else"
    version = 7
    description = "Drives bandits only."

    def describe_parameters(self):
        return [ParameterDescription("zeal", "float", 1.5, "", "how much", "somebody")]

    def refuses(self, task):
        return None if task.id.startswith("bandit/") else "its episodes have more than one step"

    def configure(self, overrides, task):
        for name in overrides:
            if name != "zeal":
                raise ParameterError(name, f"picky has no parameter '{name}'", remedy="it has zeal")
        return PickyAlgorithm({"zeal": 1.5, **overrides})
"""


def write_plugin(folder: Path) -> None:
    """A distribution `picky-plugin` 2.1 as pip would install it, with the algorithm `picky` and one that is broken."""
    (folder / "picky_module.py").write_text(PICKY)
    (folder / "broken_module.py").write_text("raise OSError('out of order')\n")
    information = folder / "picky_plugin-2.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: picky-plugin\nVersion: 2.1\n")
    (information / "entry_points.txt").write_text(
        "[haepo_bench.algorithms]\npicky = picky_module:Picky\nbroken = broken_module:Broken\n"
    )


GOOD = """\
name: good
seeds: 2
budget: {env_steps: 100}
tasks:
  - bandit/10-arm
algorithms:
  - reinforce
"""
