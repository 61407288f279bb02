"""The part of the report document that says what a search at equal cost is worth."""

from pydantic import Field

from haepo_bench.report.document_numbers import DocumentModel, MeanEstimate


class BestOf(DocumentModel):
    """What an algorithm reaches after so many configurations."""

    trials: int
    score: MeanEstimate = Field(
        description="mean over replicates of the expected score of the best of these, cross-fitted: one tuning seed "
        "chooses, the others score; null with one tuning seed, and where a trial may be the best of which a run failed "
        "on a task whose least score is not known"
    )
    cpu_seconds: float | None = Field(description="CPU seconds of training that so many configurations took, mean")


class EdgeValue(DocumentModel):
    """A hyper-parameter that was often chosen at the end of its space."""

    parameter: str
    low: int = Field(description="replicates whose choice for all tasks is at the low end")
    high: int = Field(description="the same at the high end")


class NoAssay(DocumentModel):
    """A task that had no say in some choices for all tasks: nearly all trials of the search were at one end there."""

    task: str
    replicates: int


class ParameterImportance(DocumentModel):
    """How much of what explains scores is lost without a hyper-parameter."""

    parameter: str
    importance: float | None = Field(
        description="share of the scores' variance, mean over tasks, that a random forest no longer explains where the "
        "values are shuffled (permutation importance), on trials that it has not seen"
    )


class Importance(DocumentModel):
    """Which hyper-parameters matter; exploratory. Without trials that have no score."""

    explained: float | None = Field(
        description="share of the variance of scores that the forest explains on trials that it has not seen, mean over"
        " tasks; near 0 or below, the rest says nothing"
    )
    parameters: list[ParameterImportance]
    retained: list[float | None] = Field(
        description="of what a setting per task reaches above the mean trial, the share where only 0, 1, ... "
        "hyper-parameters have a value per task; cross-fitted; null with one tuning seed"
    )
    dimension: int | None = Field(description="the fewest of these that retain 0.95; null where not known")


class TrialPoint(DocumentModel):
    """One configuration that was tried."""

    replicate: int
    number: int
    parameters: dict[str, float | int | str | bool | None]
    ended: bool = Field(description="whether all its runs on tuning seeds have ended; those that failed have")
    score: float | None = Field(
        description="mean over tasks and tuning seeds; null while a run has not ended, and where one failed on a task "
        "whose least score is not known: that counts as less than any number"
    )


class SearchedAlgorithm(DocumentModel):
    """An algorithm's searches."""

    algorithm: str
    replicates: int = Field(description="whose searches have ended")
    failed: int = Field(description="runs of trials that the algorithm failed; they count with the least score")
    best_of: list[BestOf]
    sensitivity: MeanEstimate = Field(
        description="mean over replicates: how much more the best setting per task reaches than the best one for all, "
        "in units of the spread between the 5th and the 95th percentile of all trials on a task; cross-fitted; null "
        "with one tuning seed, and where a trial is chosen of which a run failed on a task whose least score is not "
        "known"
    )
    edges: list[EdgeValue] = Field(description="chosen at an end of the space, which may be too small; else empty")
    no_assay: list[NoAssay] = Field(description="tasks left out of the choice for all tasks, in how many replicates")
    importance: Importance | None = Field(description="null unless asked for")
    trials: list[TrialPoint]


class SearchSummary(DocumentModel):
    """Searches of the same size for every algorithm."""

    measure: str
    trials: int = Field(description="configurations of a replicate")
    seeds: int = Field(description="tuning seeds of each")
    replicates: int
    tasks: list[str] = Field(description="that decide what is chosen")
    algorithms: list[SearchedAlgorithm]
