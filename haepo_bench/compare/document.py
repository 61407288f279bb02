"""A comparison of two results folders as data: what every output format shows, and what `--format json` prints.

The classes are the schema; docs/how-to/compare.md describes it in words. Numbers that are undefined are null.
"""

from typing import Literal

from pydantic import Field

from haepo_bench.report.document import DamagedFile, DivergedRun, NotShownRuns, RunWithoutResult
from haepo_bench.report.document_numbers import CONFIDENCE, Band, DocumentModel, MeanEstimate

#: Raised when a reader of the JSON would have to change.
COMPARE_FORMAT_VERSION = 1
ALPHA = 0.05
#: A difference is looked for that shows with this chance.
POWER = 0.8

#: Too few seeds: whatever the runs had been, none of their p-values could have been below `ALPHA` once adjusted.
Outcome = Literal["better", "worse", "no difference shown", "too few seeds", "identical", "not tested"]


class Change(DocumentModel):
    """A setting that is not the same on both sides."""

    key: str = Field(description="keys joined by dots")
    a: str | None = Field(description="as JSON; null where that side does not have it")
    b: str | None


class ComparedCurve(DocumentModel):
    """One side's learning curve."""

    env_steps: list[float]
    wall_seconds: list[float | None]
    values: Band = Field(description="scores where both sides have the same references, else returns")


class CellSide(DocumentModel):
    """What one side has of a cell."""

    settings_hash: str
    code_hash: str
    planned: int
    shown: int = Field(description="runs with a result: done or diverged")
    diverged: list[DivergedRun]
    missing: list[RunWithoutResult]
    cost: dict[str, float | None] = Field(description="mean over the runs shown")
    curve: ComparedCurve | None = Field(description="null where no run has a result")


class MeasureComparison(DocumentModel):
    """One number of a cell, on both sides."""

    measure: str
    a: MeanEstimate
    b: MeanEstimate
    difference: float | None = Field(description="mean of B less mean of A; 0 where identical")
    low: float | None = Field(description="95 % skewness-corrected t interval of the difference")
    high: float | None
    bootstrap_low: float | None = Field(description="95 % BCa bootstrap interval of the difference, seeds resampled")
    bootstrap_high: float | None
    p_permutation: float | None = Field(description="two-sided, unpaired")
    p_adjusted: float | None = Field(description="the same, Holm-adjusted over all tests of this comparison")
    p_mann_whitney: float | None = Field(description="two-sided rank-sum test, not adjusted")
    seed_correlation: float | None = Field(description="Pearson's over the seeds that both sides have")
    smallest_detectable: float | None = Field(
        description="true difference that shows with power 0.8 at these spreads and the smaller number of seeds; null "
        "where so few seeds can show none"
    )
    outcome: Outcome


class CostRatios(DocumentModel):
    """B over A of means over runs; null where either is unknown or zero."""

    wall_seconds: float | None
    cpu_seconds: float | None
    peak_memory_bytes: float | None


class CellComparison(DocumentModel):
    """One algorithm on one task, on both sides."""

    task: str
    algorithm: str
    settings_same: bool
    settings_changes: list[Change]
    code_same: bool
    a: CellSide
    b: CellSide
    shared_seeds: int = Field(description="seeds with a result on both sides")
    identical_runs: int = Field(description="of those, the runs that are the same in every column but the clock's")
    warnings: list[str] = Field(description="why the numbers may not be comparable")
    final: MeasureComparison
    area: MeasureComparison
    cost_ratios: CostRatios


class OneSided(DocumentModel):
    """A cell that only one side has."""

    task: str
    algorithm: str
    shown: int
    planned: int


class SideInformation(DocumentModel):
    """Where the runs of one side come from: each distinct value among the runs shown."""

    label: str = Field(description="the folder as it was named")
    suites: list[str]
    git_commits: list[str]
    versions: list[str]
    machines: list[str]
    imported: int = Field(description="runs that were imported")


class SuiteComparison(DocumentModel):
    """One suite on both sides."""

    suite_a: str
    suite_b: str
    cells: list[CellComparison]
    only_a: list[OneSided]
    only_b: list[OneSided]
    damaged_a: list[DamagedFile]
    damaged_b: list[DamagedFile]
    not_shown_a: list[NotShownRuns]
    not_shown_b: list[NotShownRuns]


class CompareDocument(DocumentModel):
    """The whole comparison."""

    format_version: int = COMPARE_FORMAT_VERSION
    haepo_bench_version: str
    confidence: float = CONFIDENCE
    alpha: float = ALPHA
    power: float = POWER
    tests: int = Field(description="that p-values are adjusted for")
    a: SideInformation
    b: SideInformation
    same_machine: bool = Field(description="both sides ran on the same kind of machine, one each")
    suites: list[SuiteComparison]
    suites_only_a: list[str]
    suites_only_b: list[str]
    damaged_only_a: list[DamagedFile] = Field(description="of the suites that only A has")
    damaged_only_b: list[DamagedFile]
