"""The part of the report document that says how results moved over the versions of code and settings in one folder."""

from typing import Literal

from pydantic import Field

from haepo_bench.report.document_numbers import DocumentModel, MeanEstimate

#: Level of the tests of changes, all together.
HISTORY_ALPHA = 0.05

ChangeOutcome = Literal["better", "worse", "no difference shown", "too few seeds", "identical", "not tested"]


class HistoryChange(DocumentModel):
    """What a version changed in a measure against the version before."""

    difference: float | None = Field(description="of the means: this version minus the one before; 0 where identical")
    low: float | None = Field(description="95 % skewness-corrected t interval of the difference")
    high: float | None
    p_permutation: float | None = Field(description="two-sided, unpaired; null where not tested")
    p_adjusted: float | None = Field(description="the same, Holm-adjusted over all tests of the suite's history")
    outcome: ChangeOutcome = Field(
        description="by `p_adjusted` at the history's `alpha`; `too few seeds` where no runs could have got below it"
    )


class HistoryMeasure(DocumentModel):
    """A measure under one version."""

    measure: Literal["final_score", "area", "final_return", "area_return"]
    estimate: MeanEstimate
    values: list[float | None] = Field(description="of each of the version's seeds")
    change: HistoryChange | None = Field(description="null for the first version")


class HistoryVersion(DocumentModel):
    """One code with one setting of an algorithm on a task, and its runs in this folder."""

    settings_hash: str
    code_hash: str
    shown: bool = Field(description="whether the rest of the report is about these runs")
    first: str = Field(description="start of the earliest run, ISO 8601 in UTC; empty where unknown")
    last: str = Field(description="start of the latest run, likewise")
    commits: list[str] = Field(description="of the directory that the runs were started in; empty where unknown")
    seeds: list[int] = Field(description="with a result, done or diverged")
    planned: int = Field(description="seeds asked for; of an earlier version those whose run was recorded")
    diverged: int
    settings_changes: list[str] = Field(description="`key: before -> now`, against the version before")
    code_changes: list[str] | None = Field(
        description="modules, packages and files that differ from the version before; null where that is unknown"
    )
    not_comparable: str = Field(description="why nothing is tested against the version before; empty where it is")
    measures: list[HistoryMeasure] = Field(
        description="final_score and area; final_return and area_return where a version has no score"
    )


class AlgorithmHistory(DocumentModel):
    """The versions of an algorithm on a task, in the order in which they were first run."""

    task: str
    algorithm: str
    versions: list[HistoryVersion] = Field(description="at least two")


class VersionHistory(DocumentModel):
    """How results moved over the versions in one folder."""

    alpha: float = HISTORY_ALPHA
    tests: int = Field(description="that p-values are adjusted for")
    algorithms: list[AlgorithmHistory]
