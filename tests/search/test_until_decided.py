"""`run --until-decided`: which seeds are proposed, that decisions follow from the store alone, and when it stops.

Runs are made up, with scores that depend on nothing but their cell and seed: normal with standard deviation .1 within
the bounds; only the seconds that they take differ whenever they are made. Fixed seeds: nothing is left to chance.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_runs import put, record

from haepo_bench.errors import UserError
from haepo_bench.results.declarations import declare
from haepo_bench.results.record import KILLED
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.search.until_decided import State, UntilDecided
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.planned import plan_file
from haepo_bench.suite.resolve import load_plan
from haepo_bench.verdicts.judging import judge

SUITE = """\
name: three
seeds: 5
budget: {env_steps: 100}
evaluation: {every: 25}
tasks: [random-walk/4, corridor/8]
algorithms:
  - {use: rloo, name: clear}
  - {use: rloo, name: same}
  - {use: rloo, name: near}
  - {use: reinforce, name: base}
  - {use: grpo, name: poor}
  - {use: dpo, name: aside}
claims: {candidate: rloo, left_out: [aside], made: [better or at par, converges fast]}
"""
#: Mean score of each.
MEANS = {"clear": 0.8, "same": 0.5, "near": 0.58, "base": 0.5, "poor": 0.2, "aside": 0.5}
#: Seconds that a run takes, as on a busy machine: made again, it takes others.
SECONDS = np.random.default_rng(1)

Made = Callable[[Plan, Cell, int], Any]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "three.yaml"
    path.write_text(SUITE)
    return load_plan(path)


def made_up(plan: Plan, cell: Cell, seed: int, **changes: Any) -> Any:
    """The run of a cell and a seed."""
    key = [seed, *map(ord, cell.algorithm + cell.task)]
    low, high = plan.bounds[cell.task].low, plan.bounds[cell.task].high
    score = float(np.clip(np.random.default_rng(key).normal(MEANS[cell.algorithm], 0.1), low, high))
    assert cell.references is not None
    span = cell.references.solved - cell.references.random
    return record(
        cell.task,
        cell.algorithm,
        seed,
        returns=[cell.references.random + span * score] * 5,
        settings_hash=cell.settings_hash,
        code_hash=cell.code_hash,
        uses=cell.uses,
        suite=plan.suite,
        references=(cell.references.random, cell.references.solved),
        provenance={"started": "2026-01-01T00:00:00+00:00", "declaration": plan.declaration},
        cost={"wall_seconds": 1.0, "cpu_seconds": float(SECONDS.lognormal(0.0, 2.0)), "evaluation_seconds": 0.0},
        **changes,
    )


def play(
    search: UntilDecided, made: Made = made_up, kills: np.random.Generator | None = None, *, most: int = 500
) -> tuple[list[Any], int]:
    """Makes what is proposed until nothing is, or so many proposals: (proposals, kills).

    Args:
        kills: after each proposal, by chance, only some of its runs are made and all is forgotten but the store.
    """
    store, plan, proposals, killed = search.store, search.plan, [], 0
    while len(proposals) < most and (proposal := search.next()) is not None:
        planned = plan_file(proposal, written="2026")
        declare(store, planned)
        store.write_plan(planned)
        runs = [(cell, seed) for cell in proposal.cells for seed in cell.seeds]
        assert runs
        proposals.append([(cell.key, cell.seeds) for cell in proposal.cells])
        if kills is not None and killed < 20 and kills.random() < 0.8:
            kills.shuffle(runs)
            runs = runs[: int(kills.integers(len(runs)))]
            killed += 1
            search = UntilDecided(plan, store, search.most)
        put(store, *(made(plan, cell, seed) for cell, seed in runs))
    assert len(proposals) < 500
    store.write_plan(plan_file(search.taken, written="2026"))
    play.states, play.taken = search.states, {cell.key: cell.seeds for cell in search.taken.cells}  # type: ignore[attr-defined]
    return proposals, killed


def outcome() -> dict[tuple[str, str], State]:
    return {(state.claim, state.variant): state for state in play.states}  # type: ignore[attr-defined]


def test_one_clear_one_null_and_one_close_comparison(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "three")
    proposals, _ = play(UntilDecided(plan, store, 100))
    states = outcome()
    verdicts = {key: state.verdict for key, state in states.items()}
    fast = {variant: verdict for (claim, variant), verdict in verdicts.items() if claim == "converges fast"}
    assert fast == {"clear": "supported", "same": "not supported", "near": fast["near"]}
    assert verdicts["better or at par", "clear"] == "supported"
    assert verdicts["better or at par", "same"] == "supported"
    assert all(state.closed for state in states.values())
    # The first seeds of everything, what no claim is about included; later only whole seeds of what is open.
    assert {key for key, _ in proposals[0]} == {cell.key for cell in plan.cells}
    assert all(seeds == (0, 1, 2, 3, 4) for _, seeds in proposals[0])
    for proposal in proposals[1:]:
        tasks = {
            algorithm: {task for (task, name), _ in proposal if name == algorithm} for (_, algorithm), _ in proposal
        }
        assert "aside" not in tasks
        assert all(own == {"random-walk/4", "corridor/8"} for own in tasks.values())
    taken = {key.algorithm: len(seeds) for key, seeds in play.taken.items()}  # type: ignore[attr-defined]
    assert taken["aside"] == 5
    # The clear one needs fewest; the poor baseline is dropped before the other one is.
    assert taken["clear"] < taken["near"]
    assert taken["poor"] <= taken["base"]
    # What it decided is what the report says of the same seeds.
    shown = {
        (claim.claim.name, judged.algorithm): judged.decision.verdict
        for claim in judge(select(store))
        for judged in claim.overall
    }
    assert shown == verdicts


def test_the_same_decisions_after_twenty_kills(plan: Plan, tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole" / "three")
    play(UntilDecided(plan, whole, 40))
    states, taken = outcome(), play.taken  # type: ignore[attr-defined]
    store = Store(tmp_path / "killed" / "three")
    _, killed = play(UntilDecided(plan, store, 40), kills=np.random.default_rng(5))
    assert killed == 20
    assert (outcome(), play.taken) == (states, taken)  # type: ignore[attr-defined]
    runs = [{path.relative_to(each.root) for path in each.root.glob("*/seed-*.json")} for each in (whole, store)]
    assert runs[0] == runs[1]
    # Nothing is left to run, and more runs than it asked for change nothing.
    put(store, *(made_up(plan, cell, seed) for cell in plan.cells for seed in range(50)))
    again = UntilDecided(plan, store, 40)
    assert again.next() is None
    assert {(state.claim, state.variant): state for state in again.states} == states


def test_which_seeds_come_next_does_not_depend_on_how_long_runs_took(plan: Plan, tmp_path: Path) -> None:
    def slow(name: str) -> Made:
        def made(plan: Plan, cell: Cell, seed: int) -> Any:
            run = made_up(plan, cell, seed)
            seconds = 1e4 if cell.algorithm == name else 1.0
            return run.model_copy(update={"cost": {**run.cost, "cpu_seconds": seconds, "wall_seconds": seconds}})

        return made

    first, second = (
        play(UntilDecided(plan, Store(tmp_path / name / "three"), 40), slow(name), most=5) for name in ("clear", "near")
    )
    assert first == second


def test_it_ends_at_the_most_seeds(plan: Plan, tmp_path: Path) -> None:
    play(UntilDecided(plan, Store(tmp_path / "three"), 7))
    assert {len(seeds) for seeds in play.taken.values()} == {5, 7}  # type: ignore[attr-defined]
    assert {state.closed for state in play.states if state.verdict == "undecided"} == {"7 seeds"}  # type: ignore[attr-defined]


def test_a_run_that_the_algorithm_failed_counts_and_one_that_the_machine_failed_is_waited_for(
    plan: Plan, tmp_path: Path
) -> None:
    def failing(kind: str, signal: str) -> Made:
        def made(plan: Plan, cell: Cell, seed: int) -> Any:
            if (cell.algorithm, cell.task, seed) != ("same", "corridor/8", 3):
                return made_up(plan, cell, seed)
            run = made_up(plan, cell, seed, status="failed", error=signal)
            assert run.error is not None
            return run.model_copy(
                update={"curve": {}, "final": {}, "error": run.error.model_copy(update={"type": kind})}
            )

        return made

    play(UntilDecided(plan, Store(tmp_path / "own" / "three"), 20), failing("ValueError", "a bug"))
    assert outcome()["better or at par", "same"].pairs > 5
    store = Store(tmp_path / "machine" / "three")
    play(UntilDecided(plan, store, 20), failing(KILLED, "out of memory"))
    state = outcome()["better or at par", "same"]
    assert (state.verdict, state.pairs) == ("undecided", 3)
    assert "waits for same on corridor/8, seed 3" in state.closed
    # The same command runs it once more, and no more than that.
    search = UntilDecided(plan, store, 20)
    proposals, _ = play(search, failing(KILLED, "out of memory"))
    assert proposals == [[(("corridor/8", "same"), (3,))]]


def test_runs_that_precede_the_declaration_do_not_count(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "three")
    (base,) = (cell for cell in plan.cells if cell.algorithm == "base" and cell.task == "corridor/8")
    put(
        store, *(made_up(plan, base, n).model_copy(update={"provenance": {"declaration": "before"}}) for n in (0, 1, 3))
    )
    search = UntilDecided(plan, store, 60)
    proposal = search.next()
    assert proposal is not None
    seeds = {(cell.algorithm, cell.task): cell.seeds for cell in proposal.cells}
    assert seeds["base", "corridor/8"] == (2, 4, 5, 6, 7)
    assert seeds["clear", "corridor/8"] == (0, 1, 2, 3, 4, 5, 6, 7)
    assert seeds["aside", "corridor/8"] == (0, 1, 2, 3, 4)
    # What is declared is the order of the suite all the same.
    assert proposal.declaration == plan.declaration
    assert plan_file(proposal).declared == plan.declaration
    play(search)
    assert select(store).declaration_number is not None
    assert outcome()["converges fast", "clear"].verdict == "supported"


@pytest.mark.parametrize(
    ("change", "says"),
    [("claims.rule=fixed", "looks once"), ("claims.candidate=haepo-weighted", None)],
)
def test_what_it_refuses(plan: Plan, tmp_path: Path, change: str, says: str | None) -> None:
    if says is None:
        with pytest.raises(UserError):
            load_plan(tmp_path / "three.yaml", [change])
        return
    with pytest.raises(UserError, match=says):
        UntilDecided(load_plan(tmp_path / "three.yaml", [change]), Store(tmp_path / "three"))
