"""Tables of ladders: how many seeds solve each size, and the largest that half of them do."""

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_ladders import Ladder, LadderPlace
from haepo_bench.report.tables.per_task import UNDEFINED, Footnotes, Table, TableCell, name_cell, results_by_name
from haepo_bench.wording import fixed


def ladder_tables(suite: SuiteResult) -> list[Table]:
    """One table per ladder."""
    return [_table(suite, ladder) for ladder in suite.ladders]


def _table(suite: SuiteResult, ladder: Ladder) -> Table:
    results = results_by_name(suite)
    footnotes = Footnotes(results[place.algorithm] for place in ladder.places)
    rows = [
        [
            name_cell(results[place.algorithm], footnotes),
            TableCell(_largest(place.largest, ladder), f"[{_largest(place.low, ladder)}, {_up_to(place, ladder)}]"),
            *_shares(place, ladder),
        ]
        for place in ladder.places
    ]
    return Table(
        f"{ladder.name}: largest size that half of the seeds solve",
        ["Algorithm", "Largest size", *(f"{size}" for size in ladder.sizes)],
        rows,
        [
            f"A run has solved its task with a final score of {fixed(ladder.threshold, 2)} or more; the columns say "
            "how many seeds have. The largest size is that up to which each is solved by at least half of the seeds, "
            "with its 95 % interval from exact binomial tests; it compares algorithms where scores at any one size are "
            "all near 0 or near 1.",
            *footnotes.lines,
        ],
    )


def _largest(size: int | None, ladder: Ladder) -> str:
    return f"below {ladder.sizes[0]}" if size is None else str(size)


def _up_to(place: LadderPlace, ladder: Ladder) -> str:
    """The high end: of what is beyond the ladder nothing is known."""
    return f"{place.high} or more" if place.high == ladder.sizes[-1] else _largest(place.high, ladder)


def _shares(place: LadderPlace, ladder: Ladder) -> list[TableCell]:
    steps = {step.size: step for step in place.steps}
    cells = []
    for size in ladder.sizes:
        step = steps.get(size)
        if step is None:
            cells.append(TableCell(UNDEFINED))
        else:
            missing = f"of {step.runs.planned} planned" if step.runs.shown < step.runs.planned else ""
            cells.append(TableCell(f"{step.solved} of {step.runs.shown}", missing))
    return cells
