"""Stores with claims that were declared before their runs, made up for tests."""

from pathlib import Path
from typing import Any

import numpy as np
from synthetic_runs import declaration_of, put, put_plan, record

from haepo_bench.results.claims import DeclaredClaims, ScoreBounds
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

READING, BASELINE = "haepo-weighted", "grpo"


def runs(scores: list[list[float]], task: str = "bandit/10-arm", algorithm: str = READING, **changes: Any) -> list:
    """One run a curve of scores; references 0 and 2, so that a return is twice the score."""
    return [
        record(task, algorithm, seed, returns=[2 * score for score in curve], **changes)
        for seed, curve in enumerate(scores)
    ]


def curves(seed: int, mean: float, n: int = 30, sd: float = 0.05) -> list[list[float]]:
    """[seed][mark]: flat curves whose means over seeds are exactly this."""
    values = np.random.default_rng(seed).normal(size=n)
    values = mean + sd * (values - values.mean()) / values.std(ddof=1)
    return [[float(value)] * 5 for value in values]


def declared(
    folder: Path,
    stored: list[RunRecord],
    seeds: int,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    uniform_success: float | None = None,
    **claims: Any,
) -> Store:
    """A store in which the claims, and bounds of all scores, had been declared before the runs were made."""
    names = list(dict.fromkeys(run.algorithm for run in stored))
    candidates = [name for name in names if name.startswith("haepo")]
    settings = {"margin": 0.1, "threshold": 0.9, "candidates": candidates}
    settings["baselines"] = [name for name in names if name not in candidates]
    document = DeclaredClaims(**{**settings, **claims})
    of_scores = {run.task: ScoreBounds(low=bounds[0], high=bounds[1]) for run in stored} if bounds else {}
    digest = declaration_of(stored, range(seeds), document, of_scores)
    stored = [run.model_copy(update={"provenance": {**run.provenance, "declaration": digest}}) for run in stored]
    store = Store(folder)
    plan = {name: each.model_dump() for name, each in of_scores.items()}
    more: dict[str, Any] = {"claims": document.model_dump(), "declaration": digest, "bounds": plan}
    if uniform_success is not None:
        more["uniform_success"] = {run.task: uniform_success for run in stored}
    put_plan(store, stored, list(range(seeds)), **more)
    put(store, *stored)
    return store
