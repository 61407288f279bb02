"""Numbers of the report's and the comparison's documents, as both write them in JSON; undefined ones are null."""

from pydantic import BaseModel, ConfigDict, Field

CONFIDENCE = 0.95
#: Fewer seeds are shown one by one, without an interval.
FEWEST_SEEDS = 5


class DocumentModel(BaseModel):
    """Part of a document: it does not change once it is made, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MeanEstimate(DocumentModel):
    """A mean over seeds with its 95 % interval, which decides nothing.

    Gaffke's interval where the least and the greatest possible value are known, else the skewness-corrected t interval.
    """

    mean: float | None
    low: float | None = Field(description="null where fewer than five seeds have a value, or all have the same")
    high: float | None = Field(description="null where `low` is")
    n: int = Field(description="seeds that the mean rests on")


class Band(DocumentModel):
    """An estimate at every evaluation point; lists of equal length.

    Of a learning curve `low` and `high` are Student's t interval within what is possible.
    """

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    n: list[int]
    seeds: list[list[float | None]] = Field(
        default_factory=list, description="the values of each seed where there are fewer than five; else empty"
    )


class MissingRange(DocumentModel):
    """What a mean would be if all runs without a value had the lowest, or the highest, seen on the task."""

    lowest: float
    highest: float


class RunCount(DocumentModel):
    """How many runs a number rests on."""

    shown: int
    planned: int
