"""Who is above whom, in sentences and in a small matrix: the first thing on the page.

All of it is the table of all pairs (numbers/pairwise.py) in fewer words: nothing is decided here.
"""

from typing import NamedTuple

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_scorecard import PairComparison
from haepo_bench.report.tables.claim_words import listed, signed
from haepo_bench.report.tables.per_task import UNDEFINED
from haepo_bench.report.tables.verdicts import pairs_of
from haepo_bench.wording import many

#: With more algorithms than this the matrix is no longer one screen, and is folded away.
WIDEST = 12


class PairCell(NamedTuple):
    """Row against column: `state` is also its style; `detail` is the whole of what is known, in words."""

    state: str
    text: str
    detail: str


class PairMatrix(NamedTuple):
    """Algorithms by algorithms; None on the diagonal."""

    names: list[str]
    rows: list[tuple[str, list[PairCell | None]]]


def who_beats_whom(suite: SuiteResult) -> list[str]:
    """One sentence for each algorithm that is shown to be above another, and one on what is not decided."""
    found = suite.pairwise
    if found is None or not found.comparisons:
        return []
    names = list(dict.fromkeys(each.algorithm for each in found.comparisons))
    above = {name: [each for each in found.comparisons if each.algorithm == name and each.decided] for name in names}
    lines = []
    for name in sorted(names, key=lambda name: -len(above[name])):
        if above[name]:
            least = [each.low for each in above[name] if each.low is not None]
            by = f", by at least {signed(min(least))}" if least else ""
            lines.append(f"{name} is above {listed([each.other for each in above[name]], last=' and ')}{by}.")
    pairs = {frozenset((each.algorithm, each.other)) for each in found.comparisons}
    decided = {frozenset((each.algorithm, each.other)) for own in above.values() for each in own}
    open_ = len(pairs) - len(decided)
    if not decided:
        lines.append(f"No algorithm is shown to be above another: {many(open_, 'pair')} not decided.")
    elif open_:
        lines.append(f"Not decided: {open_} of {many(len(pairs), 'pair')}.")
    return lines


def pair_matrix(suite: SuiteResult) -> PairMatrix | None:
    """Rows against columns; None with fewer than two algorithms."""
    found = suite.pairwise
    if found is None or not found.comparisons:
        return None
    names, cells = pairs_of(found)
    rows = [(name, [_cell(cells, name, other) if other != name else None for other in names]) for name in names]
    return PairMatrix(names, rows)


def matrix_note(suite: SuiteResult) -> str:
    """What the sentences and the matrix rest on, and how far to trust them."""
    found = suite.pairwise
    if found is None:
        return ""
    status = suite.scorecard.status if suite.scorecard else ""
    return " ".join(
        filter(
            None,
            [
                f"{status[0].upper()}{status[1:]}." if status else "",
                "Mean final score of the row minus that of the column, over the tasks that both ran on. Above, below: "
                "decided, at whatever moment one stops; the chance of any wrong one in the matrix is at most "
                f"{100 * found.level:g} %. Everything else is not decided.",
            ],
        )
    )


def _cell(cells: dict[tuple[str, str], PairComparison], name: str, other: str) -> PairCell:
    there, back = cells.get((name, other)), cells.get((other, name))
    if there is None or there.difference is None:
        return PairCell("not-assessable", UNDEFINED, there.reason if there else "")
    state = "above" if there.decided else "below" if back is not None and back.decided else "undecided"
    word = {"above": "above", "below": "below", "undecided": "not decided"}[state]
    least = there.low if there.decided else None
    bound = f", by at least {signed(least)}" if least is not None else ""
    detail = f"{name} {word if state != 'undecided' else 'and'} {other}{bound}; {many(there.pairs, 'seed')}"
    detail += "" if state != "undecided" else ", not decided"
    return PairCell(state, signed(there.difference), detail)
