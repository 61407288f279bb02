"""The report as data: what every output format shows, and what `--format json` prints.

The classes are the schema; docs/reference/report-format.md describes it in words. Numbers that are undefined are null.
"""

from typing import Literal

from pydantic import Field

from haepo_bench.report.document_history import VersionHistory
from haepo_bench.report.document_ladders import Ladder
from haepo_bench.report.document_numbers import CONFIDENCE, Band, DocumentModel, MeanEstimate, MissingRange, RunCount
from haepo_bench.report.document_scorecard import AllPairs, Scorecard
from haepo_bench.report.document_searches import SearchSummary
from haepo_bench.results.record import References

#: Raised when a reader of the JSON would have to change.
REPORT_FORMAT_VERSION = 3


class SeedCurves(DocumentModel):
    """The curves of single seeds, thinned: for the eye. The run records and exports have all of them."""

    seeds: list[int] = Field(description="the first ones, at most 20")
    places: list[int] = Field(description="which of the evaluation points, from 0; at most 41, the last among them")
    eval_return: list[list[float | None]] = Field(
        description="for each of the seeds its return at each of the places, to five digits; after divergence that of "
        "the random policy"
    )


class Curve(DocumentModel):
    """A learning curve over seeds."""

    env_steps: list[float] = Field(description="the evaluation points: training env steps per seed")
    wall_seconds: list[float | None] = Field(
        description="training seconds at each evaluation point (a run's share of its job's time), mean over the seeds "
        "that are done"
    )
    cpu_seconds: list[float | None] = Field(description="CPU seconds of training at each evaluation point, likewise")
    score: Band | None = Field(description="of the sampled policy; null on tasks without references")
    eval_return: Band = Field(description="of the sampled policy")
    single: SeedCurves


class Rewards(DocumentModel):
    """Gold and proxy reward at one evaluation point."""

    env_steps: float
    sqrt_kl: float | None
    gold: MeanEstimate
    proxy: MeanEstimate


class Overoptimisation(DocumentModel):
    """Gold and proxy reward by the distance from the initial policy; lists are as long as the curve."""

    sqrt_kl: list[float | None] = Field(
        description="square root of the KL to the initial policy (nats per response) at each evaluation point, mean "
        "over the seeds that are done"
    )
    gold: Band = Field(description="evaluation return")
    proxy: Band = Field(description="the reward of training, on the same responses; over the seeds that are done")
    start: Rewards
    peak: Rewards = Field(description="where the mean gold reward is highest")
    end: Rewards
    fall: MeanEstimate | None = Field(
        description="gold reward at the peak minus that at the end; null where they are the same point"
    )
    gap: MeanEstimate = Field(
        description="rise of the proxy from start to end minus that of gold, each in standard deviations over the "
        "initial policy's responses; of no seed where one of these is 0 or not recorded"
    )


class RunWithoutResult(DocumentModel):
    """A run that was asked for and has no result."""

    seed: int
    status: Literal["failed", "timed_out", "interrupted", "missing", "damaged", "newer", "unreadable"]
    reason: str


class DivergedRun(DocumentModel):
    """A run that became non-finite: a result, with score 0 from then on."""

    seed: int
    reason: str


class Seeds(DocumentModel):
    """What an algorithm's numbers on a task rest on."""

    planned: list[int]
    shown: list[int] = Field(description="done or diverged")
    diverged: list[DivergedRun]
    missing: list[RunWithoutResult]
    exploratory: list[int] = Field(
        description="of those shown, the seeds whose run was there before the claims were declared, so that it "
        "confirms none of them"
    )


class AlgorithmInformation(DocumentModel):
    """What feedback the algorithm receives, and what it needs; null where no record could be read."""

    told: str | None
    critic: bool | None
    discount: float | None = Field(description="null where returns are not discounted")


class RunRow(DocumentModel):
    """One run that has a result."""

    seed: int
    status: Literal["done", "diverged"]
    measures: dict[str, float | None] = Field(description="as in `AlgorithmResult`")
    cost: dict[str, float | None] = Field(description="as in the run record")
    exploratory: bool = Field(description="as in `Seeds`")
    record: str = Field(description="the file, relative to the suite's folder")
    log: str = Field(description="that of the job that trained it, likewise; empty where there is none")


class AlgorithmResult(DocumentModel):
    """One algorithm on one task."""

    algorithm: str = Field(description="name in the suite")
    uses: str = Field(description="catalogue name")
    label: str = Field(description="what kind of algorithm it is; for HAEPO which variant")
    footnote: str = Field(description="caveat that every table and figure with this algorithm carries; may be empty")
    notes: list[str]
    information: AlgorithmInformation
    settings_hash: str
    code_hash: str
    parameters: dict[str, str] = Field(description="every hyper-parameter as JSON; empty where no record could be read")
    seeds: Seeds
    final_score: MeanEstimate | None = Field(
        description="sampled policy at the budget; null on tasks without references"
    )
    final_score_greedy: MeanEstimate | None = Field(description="greedy policy at the budget")
    area: MeanEstimate | None = Field(
        description="area under the score curve of the sampled policy, divided by the budget"
    )
    final_return: MeanEstimate
    final_return_greedy: MeanEstimate
    area_return: MeanEstimate = Field(description="area under the return curve, divided by the budget")
    score_in_time: MeanEstimate | None = Field(
        description="score of the sampled policy after the task's `common_seconds`; null on tasks without references"
    )
    area_in_time: MeanEstimate | None = Field(
        description="area under the score curve over [0, `common_seconds`] of training, divided by it"
    )
    return_in_time: MeanEstimate = Field(description="return of the sampled policy after the task's `common_seconds`")
    if_missing: dict[str, MissingRange] = Field(
        description="for each of the estimates above that lacks seeds; empty where none does"
    )
    cost: dict[str, float | None] = Field(description="mean over the seeds shown, units as in the run record")
    diagnostics: dict[str, MeanEstimate] = Field(
        description="of every column but progress and returns the last value, mean over the seeds that are done; by "
        "name, described in the task's `diagnostic_columns`"
    )
    curve: Curve | None = Field(description="null where no run has a result")
    overoptimisation: Overoptimisation | None = Field(
        description="null where no run has both a KL to the initial policy and a proxy reward"
    )
    runs: list[RunRow]


class Improvement(DocumentModel):
    """The probability that a run of a candidate ends better than a run of a baseline, ties counted half."""

    candidate: str
    baseline: str
    measure: Literal["final_score", "final_return"] = Field(description="the return on a task without references")
    tasks: list[str]
    probability: float | None
    low: float | None = Field(description="95 % interval; null where a side has no run")
    high: float | None
    candidate_runs: RunCount
    baseline_runs: RunCount
    lowest: float | None = Field(
        description="the probability if the candidate's missing runs were the worst seen on their task and the "
        "baseline's the best; null where none is missing"
    )
    highest: float | None = Field(description="the same the other way round")


class DiagnosticColumn(DocumentModel):
    """What a diagnostic is: as the registry of columns has it, else as what recorded it declares it."""

    name: str = Field(description="in the run record, and in `diagnostics`")
    title: str = Field(description="the name where nothing else is known")
    unit: str = Field(description="empty for pure numbers")
    meaning: str = Field(description="empty where nothing is known")


class TaskResult(DocumentModel):
    """All algorithms on one task."""

    task: str
    family: str = Field(description="tasks of one family weigh together as much as those of another")
    references: References | None
    score_bounds: tuple[float, float] | None = Field(
        description="least and greatest possible score, as declared; null where not known"
    )
    budget: float | None = Field(description="training env steps per seed; null where no run has a result")
    common_seconds: float | None = Field(
        description="training seconds that the fastest algorithm took for the budget, mean over its seeds: the time at "
        "which all are compared; null where no clock was recorded"
    )
    common_clock: str | None = Field(
        description="of which clock: cpu_seconds where all runs have them, else wall_seconds; null likewise"
    )
    algorithms: list[AlgorithmResult]
    diagnostic_columns: list[DiagnosticColumn] = Field(
        description="those that any algorithm has, in the order of tables"
    )
    improvement: list[Improvement] = Field(description="of each candidate of the claims over each baseline")


class LeftOut(DocumentModel):
    """A task or an algorithm that a number over all tasks does not rest on."""

    name: str
    reason: str


class Basis(DocumentModel):
    """What aggregates and profiles rest on: the same tasks for every algorithm."""

    tasks: list[str]
    algorithms: list[str]
    tasks_left_out: list[LeftOut]
    algorithms_left_out: list[LeftOut]


class WithoutTask(DocumentModel):
    """An aggregate without one of its tasks, the rest weighted anew."""

    task: str = Field(description="the one left out")
    value: float


class AggregateValue(DocumentModel):
    """An algorithm's aggregate."""

    algorithm: str
    value: float | None
    low: float | None = Field(description="95 % interval over seeds on these tasks; null where there is none")
    high: float | None
    runs: RunCount
    lowest_without: WithoutTask | None = Field(description="leaving out one task: the lowest; null with one task")
    highest_without: WithoutTask | None
    if_missing: MissingRange | None = Field(description="null where no run is missing")


class Aggregate(DocumentModel):
    """A statistic over all tasks of the basis, one value per algorithm."""

    statistic: Literal["mean", "iqm", "optimality_gap", "cvar", "collapse_rate"]
    more_is_better: bool
    values: list[AggregateValue]


class Profile(DocumentModel):
    """A performance profile: the share of runs whose final score is above each threshold."""

    algorithm: str
    thresholds: list[float]
    band: Band = Field(
        description="share at each threshold, tasks weighted by family, with a pointwise 95 % interval "
        "(Wilson's, combined over tasks); n counts runs"
    )
    runs: RunCount


class NotShownRuns(DocumentModel):
    """Readable runs that are left out, of the history, too; by folder."""

    folder: str
    runs: int
    reason: str


class DamagedFile(DocumentModel):
    """A file or folder that cannot be used."""

    file: str = Field(description="relative to the suite's folder")
    state: Literal["damaged", "newer", "unreadable"] = Field(
        description="read, and wrong; of a newer format; could not be read, so that nothing is known of what it holds"
    )
    reason: str


class SuiteResult(DocumentModel):
    """All that a suite's folder holds."""

    suite: str = Field(description="with the results folder behind it in a report on several")
    results: str = Field(description="which of several results folders it is from; empty in a report on one")
    folder: str = Field(description="relative to the results folder; empty where that is the suite's own")
    description: str
    plan: bool = Field(description="whether plan.json said what belongs together; else the newest runs are shown")
    source: str = Field(description="text of the suite file; empty where unknown")
    runs_planned: int
    runs_shown: int
    scorecard: Scorecard | None = Field(description="null where nothing is claimed")
    pairwise: AllPairs | None = Field(description="null with fewer than two algorithms")
    basis: Basis | None = Field(description="null where no task with references, controls apart, has a result")
    aggregates: list[Aggregate] = Field(description="side by side: there is no overall number; empty without a basis")
    profiles: list[Profile] = Field(description="one per algorithm of the basis")
    improvement: list[Improvement] = Field(description="over the tasks of the basis, weighted by family")
    ladders: list[Ladder] = Field(description="one per family of tasks that the suite has in several sizes")
    search: SearchSummary | None = Field(
        description="what searches at equal cost are worth; null where nothing was searched"
    )
    history: VersionHistory | None = Field(
        description="null where the folder has runs of one code and one setting of each algorithm on each task"
    )
    tasks: list[TaskResult]
    not_shown: list[NotShownRuns]
    damaged: list[DamagedFile]
    provenance: dict[str, list[str]] = Field(description="each distinct value among the runs shown")


class ReportDocument(DocumentModel):
    """The whole report."""

    format_version: int = REPORT_FORMAT_VERSION
    haepo_bench_version: str
    confidence: float = CONFIDENCE
    suites: list[SuiteResult]
