"""Searches on made-up scores: everything is real but the training."""

from collections.abc import Callable
from typing import Any

import numpy as np
from synthetic_runs import put, record

from haepo_bench.results.declarations import declare
from haepo_bench.results.store import Store
from haepo_bench.search.tuning import Tuning
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.planned import plan_file

#: Score of a run, of which one that the algorithm fails has none.
Scores = Callable[[Cell, int], float | None]


def noise(cell: Cell, seed: int, key: int = 0) -> float:
    """A standard normal number that depends on the cell's name and the seed alone."""
    return float(np.random.default_rng([key, seed, *map(ord, f"{cell.algorithm} {cell.task}")]).normal())


def made_up(plan: Plan, cell: Cell, seed: int, score: float | None) -> Any:
    """A run with one score at all evaluation points."""
    assert cell.references is not None
    span = cell.references.solved - cell.references.random
    returns = [cell.references.random + span * (score or 0.0)] * 5
    return record(
        cell.task,
        cell.algorithm,
        seed,
        returns=returns,
        settings_hash=cell.settings_hash,
        code_hash=cell.code_hash,
        uses=cell.uses,
        parameters=dict(cell.parameters),
        suite=plan.suite,
        references=(cell.references.random, cell.references.solved),
        provenance={"started": "2026-01-01T00:00:00+00:00", "declaration": plan.declaration},
        **({} if score is not None else {"status": "failed", "error": "it broke"}),
    )


def play(tuning: Tuning, scores: Scores, kills: np.random.Generator | None = None, *, most: int = 20) -> Tuning:
    """Makes what is proposed until nothing is; the tuning that saw the end of it.

    Args:
        kills: up to `most` times only some of the proposed runs are made, and all is forgotten but the store.
    """
    store, plan, killed = tuning.store, tuning.plan, 0
    for _ in range(1000):
        proposal = tuning.next()
        if proposal is None:
            assert kills is None or killed == most
            store.write_plan(plan_file(tuning.taken, written="2026"))
            return tuning
        planned = plan_file(proposal, written="2026")
        store.root.mkdir(parents=True, exist_ok=True)
        declare(store, planned)
        store.write_plan(planned)
        runs = [(cell, seed) for cell in proposal.cells for seed in cell.seeds]
        if kills is not None and killed < most:
            kills.shuffle(runs)
            runs = runs[: int(kills.integers(max(1, len(runs) // 4)))]
            killed += 1
            tuning = Tuning(plan, store, tuning.shard)
        put(store, *(made_up(plan, cell, seed, scores(cell, seed)) for cell, seed in runs))
    raise AssertionError("it never ends")


def new_store(folder: Any, name: str) -> Store:
    """An empty store."""
    return Store(folder / name / "suite" / "search")
