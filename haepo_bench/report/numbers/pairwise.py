"""The table of all pairs of the document."""

from haepo_bench.report.document_scorecard import AllPairs, PairComparison
from haepo_bench.results.claims import CONTROLS
from haepo_bench.results.selection import Selection
from haepo_bench.text import plain
from haepo_bench.verdicts.all_pairs import MEASURE, PairVerdict, judge_pairs
from haepo_bench.verdicts.measured import Table, number


def pairwise(selection: Selection, table: Table) -> AllPairs | None:
    """All pairs of the suite's algorithms that learn; None where fewer than two have a final score somewhere."""
    scored = {name for (_, name), measured in table.items() if measured.has(MEASURE.measure)}
    learn = dict.fromkeys(cell.algorithm for cell in selection.cells if cell.uses not in CONTROLS)
    names = [name for name in learn if name in scored]
    if len(names) < 2:
        return None
    comparisons = [pair_comparison(each) for each in judge_pairs(selection, table, names)]
    return AllPairs(measure=MEASURE.measure, comparisons=comparisons)


def pair_comparison(found: PairVerdict) -> PairComparison:
    """A pair as the document has it."""
    pairs, decision = found.path.pairs, found.decision
    decided = decision.decided is not None
    n = len(pairs.candidate)
    return PairComparison(
        algorithm=plain(found.path.candidate),
        other=plain(found.path.baseline),
        tasks=[plain(task) for task in found.path.tasks],
        pairs=n,
        difference=number((pairs.candidate - pairs.baseline).mean()) if n else None,
        low=number(decision.low) if decided else None,
        log_evidence=number(decision.evidence),
        needed=number(decision.needed),
        decided=decided,
        reason=plain(decision.obstacle) or found.path.ended_by,
    )
