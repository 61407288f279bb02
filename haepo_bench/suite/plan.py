"""What a suite asks for, resolved: cells (one algorithm on one task) and their seeds.

A `Plan` is plain data: everything a worker process needs to run a cell, and everything a report needs to know what is
missing. Nothing in it refers to the suite file any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench.results.claims import DeclaredClaims, ScoreBounds, declaration_hash
from haepo_bench.results.identity import CellIdentity, cell_folder
from haepo_bench.results.record import Engine, Information, References
from haepo_bench.results.searches import DeclaredSearch
from haepo_bench.suite.slurm_keys import SlurmOptions


@dataclass(frozen=True)
class Lookup:
    """How a cell's algorithm and task are found again in another process.

    Args:
        address: of the task.
        folder: of the suite, absolute; None where the cell needs none of its files.
        files: data files that the suite declares, relative to the folder.
    """

    address: str
    folder: Path | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell(CellIdentity):
    """A cell with all that it takes to run it, and the seeds asked for.

    Args:
        time_limit: steps after which an episode is truncated; None where the task says it itself.
        options: what else the task is made with (`catalogue.task`).
        uses: catalogue name of the algorithm, or the file that it is in (`./median.py`).
        lookup: what names the task, which the suite may call otherwise, and files of the suite's folder.
        overrides: hyper-parameters that the suite sets, as given to `AlgorithmDefinition.configure`.
        parameters: every hyper-parameter, resolved.
        seeds: in the order in which they are run.
        budget: training env steps per seed.
        evaluation_every: env steps between evaluation points.
        evaluation_episodes: episodes per evaluation.
        batches_seeds: whether the algorithm trains all seeds of a job as one batch.
        settings: the identity document; `settings_hash` is its hash.
        code: what a run executes (`suite/identity.py`); `code_hash` is its hash.
        batch: what runs must share to train as rows of one batch; empty: only the cell's own do.
        engine: what computes a run; the plan's, where that can compute such runs.
        resumes: whether its runs keep checkpoints.
    """

    time_limit: int | None
    options: dict[str, Any]
    uses: str
    lookup: Lookup
    overrides: dict[str, Any]
    parameters: dict[str, Any]
    seeds: tuple[int, ...]
    budget: int
    evaluation_every: int
    evaluation_episodes: int
    batches_seeds: bool
    references: References | None
    information: Information
    notes: tuple[str, ...]
    settings: dict[str, Any]
    code: dict[str, str] = field(repr=False)
    engine: Engine = "torch"
    resumes: bool = False
    batch: str = ""

    @property
    def folder(self) -> str:
        """Folder name of the cell's runs inside the suite's results folder."""
        return cell_folder(self)

    @cached_property
    def foreign(self) -> frozenset[str]:
        """Hashes of other people's code that its runs execute: files of the suite's folder and plugins."""
        return frozenset(content for name, content in self.code.items() if name.startswith(("local ", "source ")))


class RunKey(NamedTuple):
    """A run's place in the store."""

    folder: str
    seed: int


class PlannedRun(NamedTuple):
    """One seed of a cell."""

    cell: Cell
    seed: int

    @property
    def key(self) -> RunKey:
        """Its place in the store."""
        return RunKey(self.cell.folder, self.seed)


@dataclass(frozen=True)
class RayJobs:
    """What each job asks of a Ray cluster.

    Args:
        address: of the cluster: `auto`, `HOST:PORT`, or `local` for one of its own on this machine.
        num_gpus: GPUs of a job, which may be a part of one.
        resources: amounts of other resources, by name.
        runtime_env: Ray's runtime environment of the workers.
        at_most: jobs at a time; None: as many as the cluster has room for.
    """

    address: str = "auto"
    num_gpus: float = 0.0
    resources: dict[str, float] = field(default_factory=dict)
    runtime_env: dict[str, Any] = field(default_factory=dict)
    at_most: int | None = None


def foreign_code(runs: Iterable[PlannedRun]) -> frozenset[str]:
    """Hashes of other people's code that some runs execute."""
    return frozenset[str]().union(*{run.cell.folder: run.cell.foreign for run in runs}.values())


def by_cell(runs: Sequence[PlannedRun]) -> list[tuple[Cell, list[int]]]:
    """The cells of some runs, each with its seeds among them, in their order."""
    found: dict[str, tuple[Cell, list[int]]] = {}
    for run in runs:
        found.setdefault(run.cell.folder, (run.cell, []))[1].append(run.seed)
    return list(found.values())


@dataclass(frozen=True)
class Execution:
    """How a plan is run; no part of any run's identity except the device type and, as code, the engine.

    Args:
        workers: worker processes.
        device: resolved device type, `cpu` or `cuda`.
        device_reason: why that device.
        engine: for all runs that it can compute.
        engine_reason: why that engine.
        engine_open: whether that was left to the machine.
        timeout_seconds: for one job.
        checkpoint_seconds: between two checkpoints of a run that keeps them.
        executor: what runs the jobs, `local`, `ray` or `slurm`.
        ray: what jobs ask of a cluster, where the executor is `ray`.
        slurm: likewise, where it is `slurm`.
        log: tools that every run's curve is logged to.
    """

    workers: int
    device: str
    device_reason: str
    engine: Engine
    engine_reason: str
    engine_open: bool
    timeout_seconds: float
    checkpoint_seconds: float
    executor: str = "local"
    ray: RayJobs = field(default_factory=RayJobs)
    slurm: SlurmOptions = field(default_factory=SlurmOptions)
    log: tuple[str, ...] = ()

    def with_workers(self, workers: int | None) -> "Execution":
        """With so many jobs at a time; unchanged where None."""
        return self if workers is None else replace(self, workers=workers, ray=replace(self.ray, at_most=workers))


@dataclass(frozen=True)
class Plan:
    """A suite, resolved.

    Args:
        suite: name of the suite and of its results folder.
        unselected: cells of the suite that this run leaves out; reports count them all the same.
        source: text of the suite file, and what was set on the command line; kept with the results.
        claims: claims that the report judges; None where the suite has no candidate or no baseline.
        bounds: of scores, by task, where they are known or declared.
        uniform_success: env steps until a uniform policy's first success, by task that counts successes.
        search: what `tune` does; None of the plan of a suite's own runs.
        declared_search: how the suite is searched, by this plan or not; None where it does not say.
        own_params: {algorithm of the suite: {task that it is run on: the hyper-parameters that the suite sets itself}}.
        tuned: declaration of the search that found the settings of its runs; empty where none did.
        tuned_source: text of the file of tuned settings; likewise.
        whole: all cells of the suite with all of their seeds, where `cells` are a shard's; else empty.
    """

    suite: str
    description: str
    cells: tuple[Cell, ...]
    execution: Execution
    unselected: tuple[Cell, ...] = ()
    source: str = field(repr=False, default="")
    claims: DeclaredClaims | None = None
    bounds: dict[str, ScoreBounds] = field(default_factory=dict)
    uniform_success: dict[str, float] = field(default_factory=dict)
    search: DeclaredSearch | None = None
    declared_search: DeclaredSearch | None = None
    own_params: dict[str, dict[str, dict[str, Any]]] = field(repr=False, default_factory=dict)
    tuned: str = ""
    tuned_source: str = field(repr=False, default="")
    whole: tuple[Cell, ...] = field(repr=False, default=())

    @property
    def declared_cells(self) -> tuple[Cell, ...]:
        """Every cell of the suite as it now is, whether it is run here and now or not."""
        return self.whole or (*self.cells, *self.unselected)

    @property
    def runs(self) -> int:
        """Number of runs asked for."""
        return sum(len(cell.seeds) for cell in self.cells)

    @property
    def declaration(self) -> str:
        """Hash of the claims and of all that they will be tested on, whether selected or not."""
        return declaration_hash(self.claims, self.bounds, self.declared_cells, self.search)
