"""The part of the report document that says how far up ladders of sizes algorithms get."""

from pydantic import Field

from haepo_bench.report.document_numbers import DocumentModel, RunCount


class LadderStep(DocumentModel):
    """An algorithm at one size."""

    task: str
    size: int
    solved: int = Field(description="seeds whose final score is at least the ladder's threshold")
    runs: RunCount


class LadderPlace(DocumentModel):
    """How far up a ladder an algorithm gets."""

    algorithm: str
    largest: int | None = Field(
        description="largest size up to which at least half of the seeds solve each; null: not even the smallest"
    )
    low: int | None = Field(description="low end of its 95 % interval; null: not even the smallest")
    high: int | None = Field(
        description="high end, the largest size of the ladder where that is not ruled out; null as above"
    )
    steps: list[LadderStep] = Field(description="a size each, ascending; sizes without a result are absent")


class Ladder(DocumentModel):
    """Tasks of one family that differ in size alone."""

    name: str = Field(description="the address with <n> in place of the size")
    sizes: list[int] = Field(description="ascending")
    threshold: float = Field(description="final score of the sampled policy from which on a run has solved its task")
    places: list[LadderPlace]
