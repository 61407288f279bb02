"""The report as data: what every output format shows, and what `--format json` prints.

The classes are the schema; docs/results-format.md describes it in words. Numbers that are undefined are null.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from haepo_bench.results.record import References
from haepo_bench.statistics.verdicts import ALPHA, Verdict

#: Raised when a reader of the JSON would have to change.
REPORT_FORMAT_VERSION = 1

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
    score: Band | None = Field(description="of the sampled policy; null on tasks without references")
    eval_return: Band = Field(description="of the sampled policy")


class MissingRun(_Model):
    """A run that was asked for and has no result."""

    seed: int
    status: Literal["failed", "timed_out", "interrupted", "missing", "damaged"]
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
    cost: dict[str, float | None] = Field(description="mean over the seeds shown, units as in the run record")
    diagnostics: dict[str, Estimate] = Field(
        description="last value of each curve column, over the seeds that are done"
    )
    curve: Curve | None = Field(description="null where no run has a result")
    runs: list[RunRow]


class TaskResult(_Model):
    """All algorithms on one task."""

    task: str
    references: References | None
    budget: float | None = Field(description="training env steps a seed; null where no run has a result")
    algorithms: list[AlgorithmResult]


class RunCount(_Model):
    """How many runs a number rests on."""

    shown: int
    planned: int


class SecondLook(_Model):
    """What a claim's other measures say; nothing is decided by it."""

    measure: str
    tasks: list[str]
    candidate: float | None
    baseline: float | None
    difference: float | None
    low: float | None = Field(description="95 % interval of the difference, uncorrected; null for rates")
    high: float | None


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
    """A file that could not be read."""

    file: str = Field(description="relative to the suite's folder")
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
