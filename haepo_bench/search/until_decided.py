"""Seeds until the claims of a suite are decided: which ones are worth running next, and when none is.

Every cell begins with `FIRST` seeds. Then, as long as a verdict is open, `FIRST` more go where the chance of deciding
one is largest per env step that they take: to a variant and those baselines that it is not yet shown to be better than,
or, where "not supported" is the likelier end, to the variant and all of them; always on every task of the claim, so
that seeds stay whole. A verdict is given up at the most seeds, or after `LEAST` where neither end has a chance of
`CHANCE`.

Each decision is made from the first seeds of each cell alone, whatever else is stored, and from nothing that is
measured with a clock: which seeds come next decides which verdict passes Holm's method first, so that seconds, which
differ from one execution to the next, would show in verdicts. So the same results lead to the same decisions, however
long they took and however often it was interrupted, and verdicts are those that the report shows.
"""

from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.identity import CellKey
from haepo_bench.results.record import FAILED, FINISHED, RunRecord
from haepo_bench.results.selection import Selection, select
from haepo_bench.results.store import Store
from haepo_bench.statistics.planning import outlook
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.planned import plan_file
from haepo_bench.verdicts.judging import Judged, JudgedClaim, judge

#: Seeds that all cells begin with, and that are added at a time.
FIRST = 5
#: Seeds before a verdict is given up.
LEAST = 10
#: Chance of a verdict below which more seeds are not worth it.
CHANCE = 0.05
DEFAULT_MOST = 200


class State(NamedTuple):
    """How far one verdict is.

    Args:
        pairs: seeds that it rests on.
        evidence: for the verdict, or for "supported" while it is open: so much to 1.
        needed: what that is compared with.
        closed: why no more seeds are run for it; empty while there may be more.
    """

    claim: str
    variant: str
    verdict: str
    pairs: int
    evidence: float
    needed: float
    closed: str


class _Batch(NamedTuple):
    """Seeds that could be run next, how many each cell has then, and what they are worth: chance per env step."""

    worth: float
    seeds: dict[CellKey, int]


@dataclass
class UntilDecided:
    """Proposes runs for a plan, until its claims are decided.

    Args:
        plan: of a whole suite.
        most: seeds of a cell.
        retry_failed: whether runs that the algorithm failed before this are run again, once.

    Raises:
        UserError: the suite claims nothing, or by a rule that looks once.
    """

    plan: Plan
    store: Store
    most: int = DEFAULT_MOST
    retry_failed: bool = False

    def __post_init__(self) -> None:
        claims = _claims(self.plan)
        self._retried: set[tuple[str, int]] = set()
        self._finished: set[tuple[str, int]] = set()
        self._claimed = {*claims.candidates, *claims.baselines}
        seen = self._preceding()
        self._orders = {cell.key: self._order(cell, seen) for cell in self.plan.cells}
        self._taken = {cell.key: self._begin(cell, seen) for cell in self.plan.cells}
        self._budgets = {cell.key: cell.budget for cell in self.plan.cells}
        self.states: list[State] = []

    def next(self) -> Plan | None:
        """The runs to be made next, as a plan; None where all is decided or given up. `states` says how far it is."""
        while True:
            plan = self._proposal()
            if plan.cells:
                return plan
            batch = self._choose(select(self.store, plan_file(plan)))
            if batch is None:
                return None
            self._taken |= batch.seeds

    @property
    def taken(self) -> Plan:
        """The plan of all seeds that decisions were made from so far."""
        cells = tuple(replace(cell, seeds=self._orders[cell.key][: self._taken[cell.key]]) for cell in self.plan.cells)
        return replace(self.plan, cells=cells)

    def at_most(self) -> Plan:
        """The plan of all seeds that may be run."""
        cells = tuple(
            replace(cell, seeds=self._orders[cell.key][: None if cell.algorithm in self._claimed else FIRST])
            for cell in self.plan.cells
        )
        return replace(self.plan, cells=cells)

    def _proposal(self) -> Plan:
        """The plan of those runs of the seeds taken that have not ended."""
        taken, cells = self.taken, []
        for cell in taken.cells:
            missing = tuple(seed for seed in cell.seeds if not self._ended(cell, seed))
            if missing:
                cells.append(replace(cell, seeds=missing))
        return replace(taken, cells=tuple(cells), whole=taken.cells)

    def _ended(self, cell: Cell, seed: int) -> bool:
        key = cell.folder, seed
        if key in self._finished:  # for good: it is never replaced
            return True
        record = self.store.read(*key)
        if not isinstance(record, RunRecord):
            return False
        if record.status in FINISHED:
            self._finished.add(key)
            return True
        # What the machine failed is run again at any rate.
        again = self.retry_failed or (record.error is not None and record.error.of_machine)
        if record.status in FAILED and again and key not in self._retried:
            self._retried.add(key)
            return False
        return record.status in FAILED

    def _order(self, cell: Cell, seen: frozenset[int]) -> tuple[int, ...]:
        """The seeds that a cell may be run with, in the declared order: a list that has gaps ends where it ends.

        Args:
            seen: seeds that do not count, because a run of theirs precedes the declaration.
        """
        first = cell.seeds[0]
        if list(cell.seeds) != list(range(first, first + len(cell.seeds))):
            return cell.seeds
        return tuple(range(first, first + self.most + sum(first <= seed < first + self.most for seed in seen)))

    def _begin(self, cell: Cell, seen: frozenset[int]) -> int:
        """How many of its seeds a cell begins with: `FIRST` that count where claims are about it."""
        order = self._orders[cell.key]
        counting = [
            n for n, seed in enumerate(order, start=1) if seed not in seen or cell.algorithm not in self._claimed
        ]
        return counting[FIRST - 1] if len(counting) >= FIRST else len(order)

    def _preceding(self) -> frozenset[int]:
        """Seeds of which a run that claims are about was there before they were declared."""
        whole = tuple(replace(cell, seeds=self._order(cell, frozenset())) for cell in self.plan.cells)
        selection = select(self.store, plan_file(replace(self.plan, cells=whole)))
        return frozenset(seed for cell in selection.cells if cell.algorithm in self._claimed for seed in cell.preceding)

    def _choose(self, selection: Selection) -> _Batch | None:
        """The seeds most worth running; None where none is. Renews `states`."""
        best: _Batch | None = None
        self.states = []
        for claim in judge(selection, details=False):
            for judged in claim.overall:
                closed, batch = self._worth(claim, judged)
                self.states.append(_state(claim, judged, closed))
                if batch is not None and (best is None or batch.worth > best.worth):
                    best = batch
        return best

    def _worth(self, claim: JudgedClaim, judged: Judged) -> tuple[str, _Batch | None]:
        """Why no more seeds are run for a verdict, or the best of those that could be."""
        decision, paths = judged.decision, judged.paths
        if decision.verdict != "undecided":
            return "decided" if decision.verdict != "not assessable" else decision.reason, None
        ended = [path.ended_by for path in paths if path.ended_by]
        if ended:
            return f"waits for {ended[0]}; the same command runs it again", None
        chances = outlook([path.pairs for path in paths], claim.claimed, decision, most=self.most)
        waiting = [
            path
            for path, against in zip(paths, decision.against, strict=True)
            if against.supporting < log(decision.supported.needed)
        ]
        batches, full = [], True
        for chance, own in ((chances.supported, waiting), (chances.not_supported, list(paths))):
            cells = {
                CellKey(task, name): None
                for path in own
                for task in path.tasks
                for name in (path.candidate, path.baseline)
            }
            taken = min((self._taken[key] for key in cells), default=self.most)
            more = {
                key: min(taken + FIRST, len(self._orders[key])) for key in cells if self._taken[key] < taken + FIRST
            }
            if not cells or min(len(self._orders[key]) for key in cells) <= taken:
                continue
            full = False
            pairs = min((len(path.pairs.candidate) for path in own), default=0)
            if pairs < LEAST or chance >= CHANCE:
                steps = sum((seeds - self._taken[key]) * self._budgets[key] for key, seeds in more.items())
                batches.append(_Batch(chance / steps, more))
        if batches:
            return "", max(batches, key=lambda batch: batch.worth)
        return f"{self.most} seeds" if full else f"a chance below {CHANCE:.0%} within {self.most} seeds", None


def _claims(plan: Plan) -> DeclaredClaims:
    if plan.claims is None:
        raise UserError(
            "--until-decided: the suite claims nothing that could be decided",
            remedy="name a candidate under claims: (docs/reference/suite-reference.md)",
        )
    if plan.claims.rule == "fixed":
        raise UserError(
            "--until-decided: the rule fixed looks once, at the seeds of the suite",
            remedy="leave it out, or choose the rule betting or wins",
        )
    return plan.claims


def _state(claim: JudgedClaim, judged: Judged, closed: str) -> State:
    decision = judged.decision
    direction = decision.not_supported if decision.verdict == "not supported" else decision.supported
    pairs = direction.pairs
    if pairs is None:
        pairs = min((len(path.pairs.candidate) for path in judged.paths), default=0)
    verdict = decision.verdict
    return State(claim.claim.name, judged.algorithm, verdict, pairs, direction.evidence, direction.needed, closed)
