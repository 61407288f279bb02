"""The claims scorecard and the table of all pairs as data: `SuiteResult.scorecard` and `SuiteResult.pairwise`."""

from typing import Literal

from pydantic import Field

from haepo_bench.report.document_numbers import DocumentModel, RunCount
from haepo_bench.statistics.verdicts import LEVEL, PROMISE, Verdict

#: A verdict as it is said: "not supported" is *worse* where that is shown, else *no better* by the margin.
State = Literal["supported", "worse", "no better", "undecided", "not assessable"]


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
    """A candidate against a baseline, over the same seeds; no verdict of its own."""

    baseline: str
    feedback: str = Field(description="class of feedback that the baseline receives")
    tasks: list[str] = Field(description="what it rests on; empty where no task measures both")
    counts: bool = Field(description="whether it is part of the verdict against all baselines")
    reason: str = Field(description="why it is not, or why nothing can be decided; else empty")
    pairs: int = Field(description="seeds that are complete on both sides, in the declared order")
    seeds: int = Field(description="seeds declared on both sides and made after the declaration")
    ended_by: str = Field(description="the run that the pairs end before; empty where all are there")
    failed: int = Field(description="of the pairs' runs those in which the algorithm failed, which count at a bound")
    clipped: float = Field(description="share of the values that were clipped to declared bounds")
    candidate: float | None = Field(description="mean over the pairs, of the weighted mean over tasks")
    against: float | None = Field(description="the same of the baseline")
    difference: float | None
    low: float | None = Field(description="the difference is at least so much, at the level of 'supported'")
    high: float | None = Field(description="the difference is at most so much, at the level of 'not supported'")
    supporting: float | None = Field(description="natural logarithm of the greatest evidence for the claim so far")
    opposing: float | None = Field(description="the same against it")
    named: bool = Field(description="whether the lack of the claimed advantage is shown over this very baseline")
    worse: bool = Field(description="whether the candidate is shown to be worse than this very baseline")
    candidate_runs: RunCount
    baseline_runs: RunCount
    looks: list[SecondLook]


class Evidence(DocumentModel):
    """How far one direction of a verdict is."""

    log_evidence: list[float] = Field(
        description="natural logarithm of the greatest evidence up to each pair: what is compared with the threshold"
    )
    needed: float = Field(
        description="evidence at which it is decided, so much to 1; the level that decides is 1 over it"
    )
    decided_after: int | None = Field(description="pairs after which it was decided; null where it is not")
    bound: float | None = Field(
        description="the smallest advantage over a baseline is at least ('not supported': at most) so much, at the "
        "level that decides"
    )


class Reading(DocumentModel):
    """A claim for one candidate, over all tasks of the claim or on one."""

    algorithm: str
    tasks: list[str]
    feedback: str = Field(
        default="", description="the class of feedback that its baselines receive; empty where it is against all"
    )
    verdict: Verdict
    state: State = Field(description="the verdict, with 'not supported' split into 'worse' and 'no better' (by margin)")
    better: bool | None = Field(description="claim 'better or at par', supported: whether better too; else null")
    reason: str = Field(description="why it is not assessable, or what it waits for besides more seeds; else empty")
    pairs: int = Field(description="seeds that the verdict rests on, or that there are so far")
    more_seeds: int | None = Field(description="about so many more seeds decide it, if they are like these; else null")
    for_claim: Evidence
    against_claim: Evidence
    comparisons: list[Comparison] = Field(description="one per baseline")


class LeftOutTask(DocumentModel):
    """A task that says nothing about a claim."""

    task: str
    reason: str


class LeftOutBaseline(DocumentModel):
    """A baseline that takes no part in the verdicts on a claim."""

    baseline: str
    reason: str


class ClaimResult(DocumentModel):
    """A claim for all candidates."""

    claim: str
    measure: str = Field(description="the primary endpoint: the one measure that decides")
    margin: float = Field(description="in units of the measure: a smaller difference does not matter")
    at_par: bool = Field(description="claimed is 'not worse by the margin', not 'better'")
    rule: str = Field(description="which rule decided: betting, wins or fixed")
    dependence: str = Field(description="nonnegative: the two runs of a seed are not negatively correlated; or any")
    supported: int = Field(description="variants for which it is supported")
    tested: int = Field(description="variants for which it is assessable")
    tasks: list[str] = Field(description="that it is about")
    left_out: list[LeftOutTask]
    without: list[LeftOutBaseline]
    insensitive: list[str] = Field(
        description="tasks on which no baseline is shown to be above random by the margin, so that being at par there "
        "says nothing; of claims of being at par"
    )
    fewest_seeds: int | None = Field(
        description="with which the rule can decide at all: every difference as large as can be (at par: 0)"
    )
    readings: list[Reading] = Field(description="over all tasks, one per candidate: one family in each direction")
    by_task: list[Reading] = Field(
        description="task by task, families of their own; empty where the claim is about one task"
    )
    by_feedback: list[Reading] = Field(
        description="over all tasks, against the baselines of one class of feedback alone, families of their own; "
        "empty where all are of one class"
    )


class Scorecard(DocumentModel):
    """Verdicts on what was claimed."""

    candidates: list[str]
    baselines: list[str]
    left_out: list[str] = Field(description="shown beside the baselines; no claim is about them")
    feedback: dict[str, str] = Field(description="class of feedback that each of all these receives")
    margin: float
    threshold: float
    level: float = Field(description="chance of a wrong verdict, in each direction of each claim")
    declaration: int | None = Field(
        description="number of the declaration about these candidates in this folder, 1 the first; null where nothing "
        "was declared before the runs, and so nothing is confirmed"
    )
    families: int = Field(description="directions of claims that are decided on the page, each with its own chance")
    status: str = Field(description="what all verdicts are marked with")
    exploratory: str = Field(description="why the claims are not those that stood before the runs; empty where they do")
    siblings: list[str] = Field(description="other settings of the same cells that are stored here, in words")
    promise: str = Field(default=PROMISE, description="what a verdict promises")
    claims: list[ClaimResult]


class PairComparison(DocumentModel):
    """Whether one algorithm's mean final score is above another's, over the tasks that both were asked for."""

    algorithm: str
    other: str
    tasks: list[str]
    pairs: int
    difference: float | None = Field(description="mean of `algorithm` minus that of `other`, over the pairs")
    low: float | None = Field(description="it is at least so much, at the level that decides")
    log_evidence: float | None = Field(description="greatest so far that the difference is above 0; natural logarithm")
    needed: float | None = Field(description="evidence at which it is decided, so much to 1")
    decided: bool = Field(description="whether `algorithm` is shown to be above `other`")
    reason: str = Field(description="why nothing can be decided; else empty")


class AllPairs(DocumentModel):
    """All pairs of algorithms in either direction: one family, whose chance of any wrong decision is `level`."""

    measure: str
    level: float = LEVEL
    comparisons: list[PairComparison]
