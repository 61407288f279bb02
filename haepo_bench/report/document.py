"""The report as data: what every output format shows, and what `--format json` prints.

The classes are the schema; docs/reference/results-format.md describes it in words. Numbers that are undefined are null.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from haepo_bench.results.record import References
from haepo_bench.statistics.verdicts import ALPHA, Verdict

#: Raised when a reader of the JSON would have to change.
REPORT_FORMAT_VERSION = 2

CONFIDENCE = 0.95


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Model):
    """A mean over seeds with its 95 % skewness-corrected t interval."""

    mean: float | None
    low: float | None = Field(description="null where fewer than two seeds have a value")
    high: float | None = Field(description="null where fewer than two seeds have a value")
    n: int = Field(description="seeds that the mean rests on")


class Band(_Model):
    """An estimate at every mark; lists of equal length."""

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    n: list[int]


class Curve(_Model):
    """A learning curve over seeds."""

    env_steps: list[float] = Field(description="the marks: training env steps a seed")
    wall_seconds: list[float | None] = Field(
        description="training seconds at each mark (a run's share of its job's time), mean over the seeds that are done"
    )
    cpu_seconds: list[float | None] = Field(description="CPU seconds of training at each mark, likewise")
    score: Band | None = Field(description="of the sampled policy; null on tasks without references")
    eval_return: Band = Field(description="of the sampled policy")


class Rewards(_Model):
    """Gold and proxy reward at one mark."""

    env_steps: float
    sqrt_kl: float | None
    gold: Estimate
    proxy: Estimate


class Overoptimisation(_Model):
    """Gold and proxy reward by the distance from the initial policy; lists are as long as the curve."""

    sqrt_kl: list[float | None] = Field(
        description="square root of the KL to the initial policy (nats a response) at each mark, mean over the seeds "
        "that are done"
    )
    gold: Band = Field(description="evaluation return")
    proxy: Band = Field(description="what training pays, on the same responses; over the seeds that are done")
    start: Rewards
    peak: Rewards = Field(description="where the mean gold reward is highest")
    end: Rewards
    fall: Estimate | None = Field(description="gold reward at the peak less that at the end; null where they are one")
    gap: Estimate = Field(
        description="rise of the proxy from start to end less that of gold, each in standard deviations over the "
        "initial policy's responses; of no seed where one of these is 0 or not recorded"
    )


class MissingRange(_Model):
    """What a mean would be if all runs without a value had the lowest, or the highest, seen on the task."""

    lowest: float
    highest: float


class MissingRun(_Model):
    """A run that was asked for and has no result."""

    seed: int
    status: Literal["failed", "timed_out", "interrupted", "missing", "damaged", "newer", "unreadable"]
    reason: str


class DivergedRun(_Model):
    """A run that became non-finite: a result, with score 0 from then on."""

    seed: int
    reason: str


class Seeds(_Model):
    """What an algorithm's numbers on a task rest on."""

    planned: list[int]
    shown: list[int] = Field(description="done or diverged")
    diverged: list[DivergedRun]
    missing: list[MissingRun]
    exploratory: list[int] = Field(
        description="of those shown, the seeds made under another declaration than the first ones here: added after a "
        "look at results was possible"
    )


class Information(_Model):
    """What the algorithm was told and needs; null where no record could be read."""

    told: str | None
    critic: bool | None
    discount: float | None = Field(description="null where returns are not discounted")


class RunRow(_Model):
    """One run that has a result."""

    seed: int
    status: Literal["done", "diverged"]
    measures: dict[str, float | None] = Field(description="as in `AlgorithmResult`")
    cost: dict[str, float | None] = Field(description="as in the run record")
    exploratory: bool = Field(description="as in `Seeds`")


class AlgorithmResult(_Model):
    """One algorithm on one task."""

    algorithm: str = Field(description="name in the suite")
    uses: str = Field(description="catalogue name")
    label: str = Field(description="what kind of algorithm it is; for HAEPO which reading")
    footnote: str = Field(description="caveat that every table and figure with this algorithm carries; may be empty")
    notes: list[str]
    information: Information
    settings_hash: str
    code_hash: str
    seeds: Seeds
    final_score: Estimate | None = Field(description="sampled policy at the budget; null on tasks without references")
    final_score_greedy: Estimate | None = Field(description="greedy policy at the budget")
    area: Estimate | None = Field(description="area under the score curve of the sampled policy, divided by the budget")
    final_return: Estimate
    final_return_greedy: Estimate
    area_return: Estimate = Field(description="area under the return curve, divided by the budget")
    score_in_time: Estimate | None = Field(
        description="score of the sampled policy after the task's `common_seconds`; null on tasks without references"
    )
    area_in_time: Estimate | None = Field(
        description="area under the score curve over [0, `common_seconds`] of training, divided by it"
    )
    return_in_time: Estimate = Field(description="return of the sampled policy after the task's `common_seconds`")
    if_missing: dict[str, MissingRange] = Field(
        description="for each of the estimates above that lacks seeds; empty where none does"
    )
    cost: dict[str, float | None] = Field(description="mean over the seeds shown, units as in the run record")
    diagnostics: dict[str, Estimate] = Field(
        description="of every column but progress and returns the last value, mean over the seeds that are done; by "
        "name, described in the task's `diagnostic_columns`"
    )
    curve: Curve | None = Field(description="null where no run has a result")
    overoptimisation: Overoptimisation | None = Field(
        description="null where no run has both a KL to the initial policy and a proxy reward"
    )
    runs: list[RunRow]


class RunCount(_Model):
    """How many runs a number rests on."""

    shown: int
    planned: int


class Improvement(_Model):
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


class DiagnosticColumn(_Model):
    """What a diagnostic is: as the registry of columns has it, else as what recorded it declares it."""

    name: str = Field(description="in the run record, and in `diagnostics`")
    title: str = Field(description="the name where nothing else is known")
    unit: str = Field(description="empty for pure numbers")
    meaning: str = Field(description="empty where nothing is known")


class TaskResult(_Model):
    """All algorithms on one task."""

    task: str
    family: str = Field(description="tasks of one family weigh together as much as those of another")
    references: References | None
    budget: float | None = Field(description="training env steps a seed; null where no run has a result")
    common_seconds: float | None = Field(
        description="training seconds that the fastest algorithm took for the budget, mean over its seeds: the time at "
        "which all are compared; null where no clock was recorded"
    )
    algorithms: list[AlgorithmResult]
    diagnostic_columns: list[DiagnosticColumn] = Field(
        description="those that any algorithm has, in the order of tables"
    )
    improvement: list[Improvement] = Field(description="of each candidate of the claims over each baseline")


class LeftOut(_Model):
    """A task or an algorithm that a number over all tasks does not rest on."""

    name: str
    reason: str


class Basis(_Model):
    """What aggregates and profiles rest on: the same tasks for every algorithm."""

    tasks: list[str]
    algorithms: list[str]
    tasks_left_out: list[LeftOut]
    algorithms_left_out: list[LeftOut]


class WithoutTask(_Model):
    """An aggregate without one of its tasks, the rest weighted anew."""

    task: str = Field(description="the one left out")
    value: float


class AggregateValue(_Model):
    """An algorithm's aggregate."""

    algorithm: str
    value: float | None
    low: float | None = Field(description="95 % interval over seeds on these tasks; null where there is none")
    high: float | None
    runs: RunCount
    lowest_without: WithoutTask | None = Field(description="leaving out one task: the lowest; null with one task")
    highest_without: WithoutTask | None
    if_missing: MissingRange | None = Field(description="null where no run is missing")


class Aggregate(_Model):
    """A statistic over all tasks of the basis, one value an algorithm."""

    statistic: Literal["mean", "iqm", "optimality_gap", "cvar", "collapse_rate"]
    more_is_better: bool
    values: list[AggregateValue]


class Profile(_Model):
    """A performance profile: the share of runs whose final score is above each threshold."""

    algorithm: str
    thresholds: list[float]
    band: Band = Field(
        description="share at each threshold, tasks weighted by family, with a pointwise 95 % interval "
        "(Wilson's, combined over tasks); n counts runs"
    )
    runs: RunCount


class SecondLook(_Model):
    """What a claim's other measures say; nothing is decided by it."""

    measure: str
    tasks: list[str]
    candidate: float | None
    baseline: float | None
    difference: float | None
    low: float | None = Field(description="95 % interval of the difference, uncorrected")
    high: float | None
    lowest: float | None = Field(
        description="the difference if the missing runs of both sides had the values seen on their tasks that make it "
        "smallest; null where none is missing"
    )
    highest: float | None = Field(description="the same, largest")
    candidate_runs: RunCount
    baseline_runs: RunCount


class Comparison(_Model):
    """A candidate against a baseline, on one task or over several (families of tasks weigh alike)."""

    baseline: str
    tasks: list[str] = Field(description="what it rests on; empty where no task measures both")
    verdict: Verdict | None = Field(description="null where no task measures both")
    candidate: float | None = Field(description="mean over seeds (or CVaR), mean over tasks")
    against: float | None = Field(description="the same of the baseline")
    difference: float | None
    low: float | None = Field(description="one-sided 95 % lower bound of the difference, uncorrected")
    high: float | None = Field(description="one-sided 95 % upper bound, uncorrected")
    p_supported: float | None = Field(description="of the claim, Holm-adjusted")
    p_not_supported: float | None = Field(description="of what rules the claim out, Holm-adjusted")
    better: bool | None = Field(description="claim 'better or at par' where at par: whether better too; else null")
    seeds_needed: int | None = Field(description="for a verdict with power 0.8; null where decided or not foreseeable")
    if_missing_worst: Verdict | None = Field(
        description="the verdict if the candidate's missing runs were the worst seen on the task and the baseline's "
        "the best; null where none is missing"
    )
    if_missing_best: Verdict | None = Field(description="the same the other way round")
    lowest: float | None = Field(description="the difference under `if_missing_worst`; null where none is missing")
    highest: float | None = Field(description="the difference under `if_missing_best`")
    candidate_runs: RunCount
    baseline_runs: RunCount
    looks: list[SecondLook]


class Reading(_Model):
    """A claim for one candidate."""

    algorithm: str
    verdict: Verdict | None = Field(description="against every baseline at once; null where nothing measures it")
    overall: list[Comparison] = Field(description="over all tasks, one a baseline")
    by_task: list[Comparison] = Field(description="one a baseline and task that measures both")


class LeftOutTask(_Model):
    """A task that says nothing about a claim."""

    task: str
    reason: str


class ClaimResult(_Model):
    """A claim for all candidates."""

    claim: str
    measure: str = Field(description="the primary endpoint: the one measure that decides")
    supported: int = Field(description="readings for which it is supported")
    tested: int = Field(description="readings for which anything here measures it")
    readings: list[Reading]
    left_out: list[LeftOutTask]


class Scorecard(_Model):
    """Verdicts on what was claimed."""

    candidates: list[str]
    baselines: list[str]
    margin: float
    threshold: float
    alpha: float = ALPHA
    status: str = Field(description="what all verdicts are marked with")
    exploratory: str = Field(description="why the claims are not those that stood before the runs; empty where they do")
    claims: list[ClaimResult]


class NotShownRuns(_Model):
    """Readable runs that are left out, by folder."""

    folder: str
    runs: int
    reason: str


class DamagedFile(_Model):
    """A file or folder that cannot be used."""

    file: str = Field(description="relative to the suite's folder")
    state: Literal["damaged", "newer", "unreadable"] = Field(
        description="read, and wrong; of a newer format; could not be read, so that nothing is known of what it holds"
    )
    reason: str


class SuiteResult(_Model):
    """All that a suite's folder holds."""

    suite: str
    description: str
    plan: bool = Field(description="whether plan.json said what belongs together; else the newest runs are shown")
    source: str = Field(description="text of the suite file; empty where unknown")
    runs_planned: int
    runs_shown: int
    scorecard: Scorecard | None = Field(description="null where nothing is claimed")
    basis: Basis | None = Field(description="null where no task with references, controls apart, has a result")
    aggregates: list[Aggregate] = Field(description="side by side: there is no overall number; empty without a basis")
    profiles: list[Profile] = Field(description="one an algorithm of the basis")
    improvement: list[Improvement] = Field(description="over the tasks of the basis, weighted by family")
    tasks: list[TaskResult]
    not_shown: list[NotShownRuns]
    damaged: list[DamagedFile]
    provenance: dict[str, list[str]] = Field(description="each distinct value among the runs shown")


class ReportDocument(_Model):
    """The whole report."""

    format_version: int = REPORT_FORMAT_VERSION
    haepo_bench_version: str
    confidence: float = CONFIDENCE
    suites: list[SuiteResult]
