"""Other people's code changes no run but its own, whatever it does to the modules of the process that imports it."""

import contextlib
import json
from pathlib import Path

import pytest
from cli_support import run_apart

from haepo_bench.execution.executor import Queue
from haepo_bench.execution.jobs import Job, make_jobs
from haepo_bench.execution.resolving import SuiteWorker
from haepo_bench.suite.resolve import load_plan

#: A loss whose import turns a function of torch around for all who use it.
LOUD = """
import torch
from haepo_bench.api import ObjectiveOutput
from haepo_bench.objectives.reinforce import Reinforce

exp = torch.exp
torch.exp = lambda x, **options: -exp(x, **options)

class Loud(Reinforce):
    "REINFORCE that turns exp around."
"""
QUIET = """
from haepo_bench.objectives.reinforce import Reinforce

class Quiet(Reinforce):
    "REINFORCE under another name."
"""
SUITE = """
name: mixed
seeds: 2
budget: {env_steps: 200}
evaluation: {every: 100, episodes: 5}
tasks: [bandit/10-arm]
algorithms: [ALGORITHMS]
execution: {workers: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "quiet.py").write_text(QUIET)
    return tmp_path


def suite(folder: Path, algorithms: str) -> str:
    path = folder / "mixed.yaml"
    path.write_text(SUITE.replace("ALGORITHMS", algorithms))
    return str(path)


def curves(folder: Path, algorithm: str) -> dict[str, object]:
    paths = (folder / "mixed").glob(f"*--{algorithm}--*/seed-*.json")
    curves = {path.name: json.loads(path.read_text())["curve"] for path in paths}
    for curve in curves.values():
        curve.pop("wall_seconds", None)
        curve.pop("cpu_seconds", None)
    return curves


def test_runs_do_not_depend_on_whose_code_the_suite_names_as_well(folder: Path) -> None:
    """One worker, which resolves the suite, hence imports all of its files, and would train all of its cells."""
    # `grpo` takes ratios, so that it would see what was done to exp.
    for results, algorithms in (("among", "./loud.py, grpo, ./quiet.py, {use: grpo, name: last}"), ("alone", "grpo")):
        done = run_apart("run", suite(folder, algorithms), "--results", str(folder / results), "--quiet", cwd=folder)
        assert done.code == 0, done.err
    alone = curves(folder / "alone", "grpo")
    assert len(alone) == 2
    assert curves(folder / "among", "grpo") == alone
    assert curves(folder / "among", "last") == alone
    assert len(curves(folder / "among", "loud")) == len(curves(folder / "among", "quiet")) == 2


def test_what_has_imported_no_more_than_a_job_executes_suits_it(folder: Path) -> None:
    path = suite(folder, "./loud.py, ./quiet.py, grpo")
    plan = load_plan(path)
    loud, quiet, plain = (cell.foreign for cell in plan.cells)
    assert len(loud) == len(quiet) == 1
    assert loud != quiet
    assert plain == frozenset()
    for only in ((), ("loud",)):
        with contextlib.closing(SuiteWorker()) as worker:
            worker.load_plan(path, (), only)
            (process,) = worker.ready
            assert not any(process.suits(foreign) for foreign in (loud, quiet, plain))
    one = suite(folder, "./loud.py")
    with contextlib.closing(SuiteWorker()) as worker:
        worker.load_plan(one)
        (process,) = worker.ready
        assert tuple(process.suits(foreign) for foreign in (loud, quiet, plain)) == (True, False, False)
        assert process.suits(loud | quiet)


def test_a_worker_goes_on_with_the_code_that_it_has_imported(folder: Path) -> None:
    plan = load_plan(suite(folder, "./loud.py, grpo, ./quiet.py"))
    jobs = make_jobs([(cell, cell.seeds) for cell in plan.cells], 1, {cell.folder: 1.0 for cell in plan.cells})
    by_name = {job.cell.algorithm: job for job in jobs}
    queue = Queue(jobs)

    def take(imported: frozenset[str]) -> str:
        job = queue.take(lambda job: imported <= job.foreign)
        assert isinstance(job, Job)
        return job.cell.algorithm

    assert take(by_name["quiet"].foreign) == "quiet"
    assert take(by_name["quiet"].foreign) == jobs[0].cell.algorithm  # none that fits: the next
    assert take(frozenset()) == jobs[1].cell.algorithm
    assert queue.take() is None
