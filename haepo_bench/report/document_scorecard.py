"""The claims scorecard as data: what `SuiteResult.scorecard` holds."""

from pydantic import Field

from haepo_bench.report.document_numbers import DocumentModel, RunCount
from haepo_bench.statistics.former_verdicts import ALPHA, Verdict


class SecondLook(DocumentModel):
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


class Comparison(DocumentModel):
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


class Reading(DocumentModel):
    """A claim for one candidate."""

    algorithm: str
    verdict: Verdict | None = Field(description="against every baseline at once; null where nothing measures it")
    overall: list[Comparison] = Field(description="over all tasks, one per baseline")
    by_task: list[Comparison] = Field(description="one per baseline and task that measures both")


class LeftOutTask(DocumentModel):
    """A task that says nothing about a claim."""

    task: str
    reason: str


class ClaimResult(DocumentModel):
    """A claim for all candidates."""

    claim: str
    measure: str = Field(description="the primary endpoint: the one measure that decides")
    supported: int = Field(description="variants for which it is supported")
    tested: int = Field(description="variants for which anything here measures it")
    readings: list[Reading]
    left_out: list[LeftOutTask]


class Scorecard(DocumentModel):
    """Verdicts on what was claimed."""

    candidates: list[str]
    baselines: list[str]
    margin: float
    threshold: float
    alpha: float = ALPHA
    status: str = Field(description="what all verdicts are marked with")
    exploratory: str = Field(description="why the claims are not those that stood before the runs; empty where they do")
    claims: list[ClaimResult]
