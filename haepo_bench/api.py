"""The public names of haepo-bench: what the command line does, from Python, and what extensions are made of.

What is here keeps its name and meaning between two releases of one major version, and is announced in the changelog
before it changes; everything else in the package may move.

    from haepo_bench import api

    suite = api.load_suite("suite.yaml", sets=["seeds=5"])
    outcome = api.run(suite, results="results", workers=2)
    document = api.report("results")
    api.write_report(document, "pages", form="html")

An algorithm needs `Objective`, `ObjectiveOutput`, `TrajectoryBatch` and `hyper`, with `spaces` where `haepo-bench tune`
searches its hyper-parameters, or `Algorithm` and
`AlgorithmDefinition` where it trains in its own way; a task needs `Task`, `VectorEnvironment`, `Step` and `References`.

Every function raises `UserError`, which says what is wrong, where, and what to do, where the caller can do something
about it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from haepo_bench.errors import TaskError, UserError
from haepo_bench.objectives import spaces
from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.results.record import References, RunRecord
from haepo_bench.suite.plan import Plan
from haepo_bench.tasks.base import Step, Task, VectorEnvironment
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition

if TYPE_CHECKING:
    from haepo_bench.compare.document import CompareDocument
    from haepo_bench.exchange.storing import Imported
    from haepo_bench.execution.session import Outcome
    from haepo_bench.regression.check import Verdict
    from haepo_bench.report.document import ReportDocument
    from haepo_bench.results.frames import Frames
    from haepo_bench.results.merging import Merged

__all__ = [
    "Algorithm",
    "AlgorithmDefinition",
    "Objective",
    "ObjectiveOutput",
    "Plan",
    "References",
    "RunRecord",
    "Step",
    "Task",
    "TaskError",
    "TrajectoryBatch",
    "UserError",
    "VectorEnvironment",
    "check",
    "compare",
    "gate",
    "hyper",
    "import_curves",
    "load_suite",
    "merge",
    "read_runs",
    "record_baseline",
    "report",
    "run",
    "spaces",
    "write_report",
]

Folder = str | Path


def load_suite(suite: Folder, *, sets: Sequence[str] = (), only: Sequence[str] = (), engine: str | None = None) -> Plan:
    """A suite, checked to the last hyper-parameter: what `haepo-bench validate` does.

    Args:
        suite: a suite file, or the name of a shipped suite.
        sets: assignments as `--set` takes them, such as `seeds=5`.
        only: selections as `--only` takes them, such as `task=bandit/10-arm`.
        engine: what computes the runs, `auto`, `torch` or `compiled`; None: as the suite says.

    Raises:
        UserError: every problem found, each with its line.
    """
    from haepo_bench.suite.resolve import load_plan

    return load_plan(suite, sets, only, engine=engine)


def run(
    plan: Plan,
    *,
    results: Folder = "results",
    workers: int | None = None,
    retry_failed: bool = False,
    fail_fast: bool = False,
    save_policies: bool = False,
    shard: str | None = None,
    max_hours: float | None = None,
    quiet: bool = True,
) -> "Outcome":
    """Runs what is missing of a suite; finished runs are kept. What `haepo-bench run` does.

    Args:
        plan: plan that `load_suite` made.
        results: folder; runs go to `results/<suite>`.
        workers: processes at a time; None: as the suite says.
        retry_failed: run failed and timed-out runs again.
        fail_fast: stop at the first run that fails.
        save_policies: keep the final policies of the runs made now.
        shard: share of the runs, such as `3/16`, whose results go to `results/<suite>/shards/3-of-16`; None: all.
        max_hours: start no job that would not end within so many hours; None: any number.
        quiet: show no progress on standard error.

    Raises:
        UserError: another process writes to the folder, it cannot be written, the disk is full.
    """
    from haepo_bench.execution.session import Options, run_plan
    from haepo_bench.loggers.live import observers_for
    from haepo_bench.results.store import Store
    from haepo_bench.suite.shards import Shard, share

    root = Path(results) / plan.suite
    if shard is not None:
        part = Shard.parse(shard)
        plan, root = share(plan, part), root / part.folder
    plan = replace(plan, execution=plan.execution.with_workers(workers))
    options = Options(
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        save_policies=save_policies,
        max_hours=max_hours,
        quiet=quiet,
    )
    return run_plan(plan, Store(root), options, observers=observers_for(plan.execution.log, root, plan.suite))


def merge(sources: Sequence[Folder], into: Folder, *, prefer: Folder | None = None) -> "list[Merged]":
    """Merges results folders of shards or of several machines into one. What `haepo-bench merge` does.

    Args:
        sources: results folders of one suite, or of several.
        into: folder of the merged suite.
        prefer: one of the sources, whose result is kept where two are unequal.

    Raises:
        UserError: a folder holds no results or cannot be read, or two are of different suites.
    """
    from haepo_bench.results.merging import merge as merge_folders

    preferred = None if prefer is None else Path(prefer)
    return merge_folders([Path(source) for source in sources], Path(into), prefer=preferred)


def read_runs(results: Folder = "results") -> list["Frames"]:
    """The runs of a results folder as data frames: for each suite one row per run, and one per evaluation point.

    Of a search these are all of its runs: `NAME.3.0` is a configuration, `NAME.default` the default settings.

    Raises:
        UserError: no results there, or none that can be read.
    """
    from haepo_bench.results.default_names import defaults_named
    from haepo_bench.results.frames import frames
    from haepo_bench.results.opening import open_results

    return [frames(defaults_named(selection).cells) for selection in open_results(Path(results), to="read")]


def report(results: Folder = "results") -> "ReportDocument":
    """The report of a results folder as data: curves, scores, verdicts on claims.

    Raises:
        UserError: no results there, or none that can be read.
    """
    from haepo_bench.report.numbers.build import build_report

    return build_report(Path(results))


def write_report(
    document: "ReportDocument", out: Folder, *, form: Literal["html", "md", "csv", "json", "latex"] = "html"
) -> list[Path]:
    """Writes a report's files into the folder `out` and returns them, the main one first."""
    from haepo_bench.report.files import write_report as write

    return write(document, form, Path(out))


def compare(a: Folder, b: Folder) -> "CompareDocument":
    """Two results folders side by side; differences are `b` minus `a`. What `haepo-bench compare` does.

    Raises:
        UserError: one of them holds no results.
    """
    from haepo_bench.compare.build import compare_results

    return compare_results(Path(a), Path(b))


def import_curves(
    paths: Sequence[Folder],
    *,
    results: Folder = "results",
    suite: str | None = None,
    task: str | None = None,
    algorithm: str | None = None,
    seed: int | None = None,
    budget: int | None = None,
    every: int | None = None,
) -> list["Imported"]:
    """Makes runs of other people's curves. What `haepo-bench import` does.

    Args:
        paths: one mapping file, or files and folders that say what they are.
        suite: name of the suite, where the files do not say it; so for `task`, `algorithm` and `seed`.
        budget: env steps per run; where all runs end if None.
        every: env steps between evaluation points.

    Raises:
        UserError: every problem found; nothing is stored then.
    """
    from haepo_bench.exchange.importing import Said, import_runs

    said = Said(suite=suite, task=task, algorithm=algorithm, seed=seed, budget=budget, every=every)
    return import_runs([Path(path) for path in paths], said, Path(results))


def record_baseline(results: Folder, out: Folder, *, reason: str, min_seeds: int | None = None) -> None:
    """Records the runs of one suite as what later ones are judged by. What `haepo-bench baseline` does.

    Raises:
        UserError: runs are missing or too few, or were made from a tree that differed from its commit.
    """
    from haepo_bench.regression.baseline import load_baseline, save_baseline
    from haepo_bench.regression.folder import runs_in
    from haepo_bench.regression.recording import SEEDS
    from haepo_bench.regression.recording import record_baseline as record

    path = Path(out)
    before = load_baseline(path) if path.exists() else None
    runs = runs_in(Path(results), before.suite if before else None, to="record")
    save_baseline(path, record(runs, reason=reason, before=before, min_seeds=min_seeds or SEEDS, allow_dirty=False))


def check(results: Folder, baseline: Folder, *, alpha: float = 0.01, min_effect: float = 0.10) -> "Verdict":
    """Judges stored runs by a baseline. What `haepo-bench check` does.

    Args:
        alpha: chance that any cell is called worse although none changed.
        min_effect: a smaller drop of the area under the curve does not matter; 1 is from random to solved.

    Raises:
        UserError: a file that cannot be read, or the baseline is that of another suite.
    """
    from haepo_bench.regression.baseline import load_baseline
    from haepo_bench.regression.check import check as judge
    from haepo_bench.regression.folder import runs_in
    from haepo_bench.regression.verdict import Rule

    loaded = load_baseline(Path(baseline))
    rule = Rule(alpha=alpha, min_effect=min_effect)
    return judge(runs_in(Path(results), loaded.suite, to="check"), loaded, rule=rule)


def gate(
    plan: Plan,
    baseline: Folder,
    *,
    results: Folder = "results/gate",
    seeds: int = 10,
    alpha: float = 0.01,
    min_effect: float = 0.10,
) -> "Verdict":
    """Runs what is needed to say whether the code as it is changed a suite's curves. What `haepo-bench gate` does.

    Args:
        plan: plan that `load_suite` made.
        seeds: fresh seeds of each cell that is not identical.
        alpha: chance of a false alarm, as for `check`; `min_effect` likewise.

    Raises:
        UserError: a file that cannot be read, or the baseline is that of another suite.
    """
    from haepo_bench.execution.gate import GateOptions
    from haepo_bench.execution.gate import gate as run_gate
    from haepo_bench.regression.baseline import load_baseline
    from haepo_bench.regression.verdict import Rule

    rule = Rule(alpha=alpha, min_effect=min_effect)
    options = GateOptions(seeds=seeds, quiet=True)
    return run_gate(plan, load_baseline(Path(baseline)), Path(results), rule=rule, options=options)
