"""Did the working tree change the learning curves? Runs as little as says so, and checks it against a baseline.

Three stages, each with a results folder of its own below the suite's:

1. `identity`: the first two seeds of each cell's baseline. Where they come out byte for byte the same (clocks apart),
   the code computes what it computed: the cell is green without any statistics, and no false alarm is possible.
2. `fresh`: all other cells run seeds that the baseline does not have and are tested together.
3. `confirmation`: cells called worse run as many seeds again; only what is worse again, by the same rule, is worse.

A cell must fail two tests on independent runs, so a false alarm needs both;
docs/how-to/regression.md has the arithmetic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from haepo_bench.execution.provenance import tree_state
from haepo_bench.execution.session import Options, run_plan
from haepo_bench.execution.worker_process import WorkerProcess
from haepo_bench.regression.baseline import Baseline, BaselineCell
from haepo_bench.regression.cells import why_not_comparable
from haepo_bench.regression.check import (
    CellVerdict,
    Verdict,
    absences,
    check_suite,
    judge_together,
    missing,
    recorded,
    settle,
    with_history,
)
from haepo_bench.regression.seeds import fresh_seeds
from haepo_bench.regression.verdict import DEFAULT_RULE, Mark, Rule
from haepo_bench.results.hashing import digest
from haepo_bench.results.identity import CellKey
from haepo_bench.results.selection import SelectedCell, select
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.shards import Shard, share_of_cells
from haepo_bench.text import plain
from haepo_bench.wording import many

#: Of the baseline's first seeds, run to see whether anything changed at all.
IDENTITY_SEEDS = 2
#: Fresh seeds of a cell that changed: against 50 they show a drop of 1.4 standard deviations among ten cells.
FRESH_SEEDS = 10

IDENTITY, FRESH, CONFIRMATION = "identity", "fresh", "confirmation"


@dataclass(frozen=True)
class GateOptions:
    """How to gate.

    Args:
        seeds: fresh ones of each cell that changed, and again of each that is called worse.
        quiet: show no progress.
        say: takes a line that says what is done next.
        shard: the share of the cells that is measured; None for all.
        ready: idle workers that run already.
    """

    seeds: int = FRESH_SEEDS
    quiet: bool = False
    say: Callable[[str], None] = lambda line: None
    shard: Shard | None = None
    ready: tuple[WorkerProcess, ...] = ()


def gate(
    plan: Plan, baseline: Baseline, results: Path, *, rule: Rule = DEFAULT_RULE, options: GateOptions = GateOptions()
) -> Verdict:
    """Runs what is needed of a plan and judges it. Finished runs are kept and used again.

    A shard runs what its cells need: which of them changed shows in each by itself, and where fewer cells are judged
    together, more are called worse and run again, so that as a rule nothing is left to be run. Its verdict is not that
    of the suite: merge the shards, and gate the whole.

    Args:
        plan: of the baseline's suite; its seeds do not matter.
        results: folder under which the suite's results folder lies.

    Raises:
        NotComparable: the baseline is of another suite.
        UserError: the results folder cannot be written, something in it cannot be read, or another process holds it.
    """
    check_suite(plan.suite, baseline)
    return _Gate(plan, baseline, gate_root(plan, results, options.shard), rule, options).verdict()


def gate_root(plan: Plan, results: Path, shard: Shard | None) -> Path:
    """Folder of the stages' results folders."""
    root = results / plan.suite
    return root if shard is None else root / shard.folder


class _Interrupted(Exception):
    """A signal came."""


class _Gate:
    def __init__(self, plan: Plan, baseline: Baseline, root: Path, rule: Rule, options: GateOptions) -> None:
        self._plan, self._baseline, self._root, self._rule, self._options = plan, baseline, root, rule, options
        self._ready = options.ready
        self._cells = {cell.key: cell for cell in (*plan.cells, *plan.unselected)}
        self._judged = baseline.cells
        if options.shard is not None:
            known = [self._cells[old.key] for old in baseline.cells if old.key in self._cells]
            mine = {cell.key for cell in share_of_cells(known, options.shard)}
            self._judged = [old for old in baseline.cells if old.key in mine]
        self._verdicts: dict[CellKey, CellVerdict] = {}
        self._asked, self._kept = 0, 0  # runs

    def verdict(self) -> Verdict:
        interrupted = False
        try:
            self._judge()
        except _Interrupted:
            interrupted = True
        verdicts = [self._final(old.key) for old in self._judged]
        return Verdict(
            suite=self._plan.suite,
            rule=self._rule,
            against=recorded(self._baseline),
            cells=tuple(with_history(verdicts, self._baseline)),
            new=tuple(self._new()),
            notes=self._notes(),
            interrupted=interrupted,
        )

    def _final(self, key: CellKey) -> CellVerdict:
        found = self._verdicts.get(key)
        if found is None:
            return CellVerdict(key, Mark.FAILED, "not measured: the gate was interrupted")
        if found.mark is Mark.WORSE and found.confirmation is None:
            remark = "worse, and the gate was interrupted before a second batch of seeds could confirm it"
            return replace(found, mark=Mark.FAILED, remark=remark)
        return found

    def _judge(self) -> None:
        # Of all stages, before the first of them trains.
        for stage in (IDENTITY, FRESH, CONFIRMATION):
            Store(self._root / stage).check_readable(cell.folder for cell in self._cells.values())
        comparable = self._comparable()
        changed = self._changed(comparable)
        if not changed:
            return
        origin = tree_state() or _code_state(self._plan)
        taken = {seed for old in self._baseline.cells for seed in old.seeds}
        fresh = fresh_seeds(origin, 0, self._options.seeds, taken)
        found = self._run(FRESH, dict.fromkeys(changed, fresh), f"changed, run with fresh seeds from {origin[:57]}")
        suspects = self._test(found)
        if not suspects:
            return
        again = fresh_seeds(origin, 1, self._options.seeds, taken | set(fresh))
        found = self._run(CONFIRMATION, dict.fromkeys(suspects, again), "called worse, run with other fresh seeds")
        self._confirm(found)

    def _comparable(self) -> list[CellKey]:
        """Cells of the baseline that the plan has with the same settings; the others are settled."""
        comparable = []
        for old in self._judged:
            cell = self._cells.get(old.key)
            if cell is None:
                new = {key: cell.settings_hash for key, cell in self._new().items()}
                self._settle(missing(old, "the suite has no such cell", new))
                continue
            difference = why_not_comparable(old, cell.settings_hash, cell.settings, cell.references)
            if difference:
                self._settle(CellVerdict(old.key, Mark.NOT_COMPARABLE, plain(difference)))
            else:
                comparable.append(old.key)
        return comparable

    def _changed(self, comparable: list[CellKey]) -> list[CellKey]:
        """Cells whose first seeds do not come out as they are in the baseline; the others are settled."""
        seeds = {key: self._old(key).seeds[:IDENTITY_SEEDS] for key in comparable}
        found = self._run(IDENTITY, seeds, "run with the baseline's first seeds")
        changed = []
        for key, cell in found.items():
            verdict = settle(self._old(key), cell)
            if verdict is not None:
                self._settle(verdict)
            elif cell.absent:
                # A cell that crashes on known seeds will not be asked for more.
                self._settle(CellVerdict(key, Mark.FAILED, absences(cell)))
            else:
                changed.append(key)
        return changed

    def _test(self, found: Mapping[CellKey, SelectedCell]) -> list[CellKey]:
        """Judges the fresh runs; the cells that are called worse."""
        pairs = []
        for key, cell in found.items():
            verdict = settle(self._old(key), cell)
            if verdict is None:
                pairs.append((self._old(key), cell))
            else:
                self._settle(verdict)
        for verdict in judge_together(pairs, self._rule):
            self._settle(verdict)
        return [key for key in found if self._verdicts[key].mark is Mark.WORSE]

    def _confirm(self, found: Mapping[CellKey, SelectedCell]) -> None:
        """Keeps as worse what is worse again."""
        with_runs = {key: cell for key, cell in found.items() if cell.runs}
        judged = judge_together([(self._old(key), cell) for key, cell in with_runs.items()], self._rule)
        second = {verdict.key: verdict for verdict in judged}
        for key, cell in found.items():
            first, again = self._verdicts[key], second.get(key)
            if again is None or (cell.absent and again.mark is not Mark.WORSE):
                remark = f"worse, and the runs that should confirm it failed: {again.remark if again else ''}"
                self._settle(replace(first, mark=Mark.FAILED, remark=remark.removesuffix(": ")))
                continue
            mark = again.mark if again.mark in {Mark.WORSE, Mark.TOO_FEW} else Mark.NOT_DISTINGUISHABLE
            self._settle(replace(first, mark=mark, confirmation=again.judgement))

    def _run(self, stage: str, seeds: Mapping[CellKey, tuple[int, ...]], why: str) -> dict[CellKey, SelectedCell]:
        """Runs a stage; what its store then says of each cell."""
        if not seeds:
            return {}
        cells = tuple(replace(self._cells[key], seeds=chosen) for key, chosen in seeds.items())
        self._options.say(f"{stage}: {many(len(cells), 'cell')} {why}")
        store = Store(self._root / stage)
        plan = replace(self._plan, cells=cells, unselected=(), claims=None)
        ready, self._ready = self._ready, ()
        outcome = run_plan(plan, store, Options(retry_failed=True, quiet=self._options.quiet), ready)
        self._asked, self._kept = self._asked + outcome.asked, self._kept + outcome.kept
        if outcome.signalled:
            self._options.say(f"{stage}: {outcome.after_interruption}")
            raise _Interrupted
        found = {cell.key: cell for cell in select(store).cells}
        return {key: found[key] for key in seeds}

    def _new(self) -> dict[CellKey, Cell]:
        return {key: cell for key, cell in self._cells.items() if self._baseline.cell(key) is None}

    def _notes(self) -> tuple[str, ...]:
        # The hash of the code covers what trains, not all that it may call: a reader must know what was measured when.
        said = f"{self._kept} of {many(self._asked, 'run')} had been made before, by the same code, and were used again"
        return (f"{said}; an empty --results folder measures anew",) if self._kept else ()

    def _old(self, key: CellKey) -> BaselineCell:
        cell = self._baseline.cell(key)
        assert cell is not None  # only cells of the baseline are run
        return cell

    def _settle(self, verdict: CellVerdict) -> None:
        self._verdicts[verdict.key] = verdict


def _code_state(plan: Plan) -> str:
    """Outside of a repository, what is gated is the code that the cells run."""
    return digest([cell.code_hash for cell in (*plan.cells, *plan.unselected)])
