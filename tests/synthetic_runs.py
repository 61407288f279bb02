"""Run records and stores made up for tests of results and reports."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import numpy as np

from haepo_bench.results.claims import DeclaredClaims, ScoreBounds, declaration_hash
from haepo_bench.results.plan_file import PlannedCell
from haepo_bench.results.record import Failure, Information, References, RunRecord
from haepo_bench.results.store import Store

FOOTNOTE = "reconstruction from the public abstract, not the authors' code"

KINDS = {
    "haepo-weighted": Information(
        told="returns", critic=False, discount=None, label="HAEPO (variant A, weighted)", footnote=FOOTNOTE
    ),
    "haepo-listwise": Information(
        told="returns", critic=False, discount=None, label="HAEPO (variant B, listwise)", footnote=FOOTNOTE
    ),
    "reinforce": Information(told="returns", critic=False, discount=None, label="REINFORCE"),
    "grpo": Information(told="returns", critic=False, discount=None, label="GRPO"),
    "dpo": Information(told="oracle preferences", critic=False, discount=None, label="online DPO, oracle pairs"),
    "ppo": Information(told="per-step rewards", critic=True, discount=0.98, label="PPO (Stable-Baselines3)"),
}

MARKS = [0, 25, 50, 75, 100]


def record(
    task: str = "bandit/10-arm",
    algorithm: str = "reinforce",
    seed: int = 0,
    *,
    returns: list[float | None] | None = None,
    marks: list[int] | None = None,
    references: tuple[float, float] | None = (0.0, 2.0),
    status: str = "done",
    settings_hash: str = "5" * 64,
    code_hash: str = "c" * 64,
    started: str = "2026-01-01T00:00:00+00:00",
    suite: str = "made-up",
    error: str | None = None,
    **changes: Any,
) -> RunRecord:
    """A run; `returns` are those of the sampled policy at the marks, None from the mark on at which it diverged."""
    marks = MARKS if marks is None else marks
    returns = [0.02 * mark + 0.1 * seed for mark in marks] if returns is None else returns
    finished = status in ("done", "diverged")
    curve: dict[str, list[Any]] = {}
    if finished:
        alive = [value is not None for value in returns]
        curve = {
            "env_steps": list(marks),
            "gradient_steps": [2 * i if a else None for i, a in enumerate(alive)],
            "wall_seconds": [(0.5 + 0.1 * seed) * i if a else None for i, a in enumerate(alive)],
            "cpu_seconds": [0.4 * i if a else None for i, a in enumerate(alive)],
            "eval_return": returns,
            "eval_return_greedy": [None if value is None else value + 0.05 for value in returns],
        }
    final = {"eval_return": returns[-1], "eval_return_greedy": curve["eval_return_greedy"][-1]} if finished else {}
    fields: dict[str, Any] = {
        "status": status,
        "suite": suite,
        "task": task,
        "algorithm": algorithm,
        "uses": algorithm,
        "seed": seed,
        "settings_hash": settings_hash,
        "code_hash": code_hash,
        "settings": {"task": task},
        "parameters": {"learning_rate": 0.003},
        "references": References(random=references[0], solved=references[1], source="made up") if references else None,
        "information": KINDS.get(algorithm, KINDS["reinforce"]),
        "curve": curve,
        "final": final,
        "cost": {"wall_seconds": 2.0 + seed, "cpu_seconds": 2.0, "env_steps_collected": 104, "gradient_steps": 8}
        if finished
        else {},
        "provenance": {"started": started, "cpu": "made up", "versions": {"torch": "2.13.0"}},
        "error": Failure(status=status, type="RuntimeError", message=error) if error is not None else None,
    }
    return RunRecord(**{**fields, **changes})


def overoptimised(algorithm: str, seed: int, *, alive: int = 9, **changes: Any) -> RunRecord:
    """A language run that is paid a proxy: gold peaks and falls while the proxy rises and the KL wanders off.

    Args:
        alive: marks before it diverges, of 9.
    """
    rng = np.random.default_rng([seed, len(algorithm)])
    distance = np.linspace(0, 4, 9)
    gold = 0.4 + 0.15 * distance - 0.06 * distance**2 + rng.normal(0, 0.02, 9)
    # The seventh mark lies nearer to the initial policy than the sixth.
    kl = np.array([0, 0.3, 1, 2.5, 5, 9, 4, 12, 16]) * rng.uniform(0.8, 1.2)
    columns = {
        "kl_initial": kl,
        "proxy_return": -0.3 + 0.9 * distance + rng.normal(0, 0.1, 9),
        "proxy_return_std": rng.uniform(0.8, 1.2, 9),
        "eval_return_std": rng.uniform(0.2, 0.3, 9),
    }
    run = record(
        "lm/synthetic-summary",
        algorithm,
        seed,
        returns=[*gold[:alive].tolist(), *[None] * (9 - alive)],
        marks=list(range(0, 900, 100)),
        references=(0.0, 1.0),
        **({"status": "diverged", "error": "the loss is not finite"} if alive < 9 else {}),
        **changes,
    )
    more = {name: [*values[:alive].tolist(), *[None] * (9 - alive)] for name, values in columns.items()}
    passes = {f"{whose}pass_at_{k}": float(rng.uniform()) for whose in ("", "initial_") for k in (1, 8)}
    return run.model_copy(update={"curve": {**run.curve, **more}, "final": {**run.final, **passes}})


def folder_of(run: RunRecord) -> str:
    return f"{quote(run.task, safe='')}--{run.algorithm}--{run.settings_hash[:8]}-{run.code_hash[:8]}"


def put(store: Store, *runs: RunRecord) -> None:
    """Stores runs without flushing each to disk, as tests write many."""
    for run in runs:
        path = store.path(folder_of(run), run.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(run.to_json(), encoding="utf-8")


def put_plan(store: Store, runs: list[RunRecord], seeds: list[int], **changes: Any) -> dict[str, Any]:
    """Writes the plan that asks for each run's cell with `seeds`."""
    cells = {
        folder_of(run): {
            "folder": folder_of(run),
            "task": run.task,
            "algorithm": run.algorithm,
            "uses": run.uses,
            "seeds": seeds,
            "settings_hash": run.settings_hash,
            "code_hash": run.code_hash,
            "budget": 100,
            "evaluation_every": 25,
        }
        for run in runs
    }
    document = {
        "format_version": 2,
        "suite": "made-up",
        "description": "runs made up for tests",
        "written": "2026-01-01T00:00:00+00:00",
        "source": "name: made-up\n",
        "cells": list(cells.values()),
        **changes,
    }
    store.root.mkdir(parents=True, exist_ok=True)
    (store.root / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def declaration_of(
    runs: Iterable[RunRecord],
    seeds: Sequence[int],
    claims: DeclaredClaims,
    bounds: Mapping[str, ScoreBounds] = MappingProxyType({}),
) -> str:
    """What `put_plan` with these claims declares."""
    cells = {run.identity: PlannedCell.of(run.identity, uses=run.uses, seeds=seeds) for run in runs}
    return declaration_hash(claims, bounds, cells.values())


def showcase(root: Path, *, seeds: int = 5, marks: int = 21, only: tuple[str, ...] = ()) -> Store:
    """A suite that has everything in it: six algorithms, three tasks, one without references, divergence, failures."""
    store = Store(root)
    runs = []
    tasks = {
        "bandit/10-arm": ((0.1, 1.5), 5_000, 0.6),
        "random-walk/20": ((0.2, 1.0), 10_000, 0.9),
        "gym/CartPole-v1": ((22.0, 500.0), 50_000, 1.0),
        "gym/Pendulum-v1": (None, 20_000, 1.0),
    }
    tasks = {task: tasks[task] for task in only or tasks}
    for t, (task, (references, budget, ceiling)) in enumerate(tasks.items()):
        low, high = references or (-1300.0, -200.0)
        for a, algorithm in enumerate(KINDS):
            for seed in range(seeds):
                steps = [budget * i // (marks - 1) for i in range(marks)]
                speed = 1.2 + 0.8 * a + 0.15 * ((7 * seed + 3 * a + t) % 5)
                wobble = [0.05 * math.sin(1.7 * i + 2.3 * seed + a) for i in range(marks)]
                score = [ceiling * (1 - math.exp(-speed * i / marks * 1.5)) + w for i, w in enumerate(wobble)]
                returns: list[float | None] = [low + (high - low) * value for value in score]
                extra = {"effective_sample_size": [None, *[0.9 - 0.02 * i - 0.01 * seed for i in range(1, marks)]]}
                status, error = "done", None
                if (task, algorithm, seed) == ("random-walk/20", "grpo", 1):
                    status, error, returns = (
                        "diverged",
                        "the loss is not finite",
                        [*returns[: marks // 2], *[None] * (marks - marks // 2)],
                    )
                if (task, algorithm, seed) == ("gym/CartPole-v1", "dpo", 1):
                    status, error = "failed", "the environment went away"
                run = record(
                    task,
                    algorithm,
                    seed,
                    returns=returns,
                    marks=steps,
                    references=references,
                    status=status,
                    error=error,
                )
                if status == "done":
                    curve = {**run.curve, "policy_entropy": [0.69 - 0.02 * i for i in range(marks)]}
                    if algorithm.startswith("haepo"):
                        curve |= extra
                    curve["wall_seconds"] = [0.2 * i * (1 + 0.4 * a) * (1 + 0.05 * seed) for i in range(marks)]
                    curve["cpu_seconds"] = [0.9 * time for time in curve["wall_seconds"]]
                    run = run.model_copy(update={"curve": curve})
                runs.append(run)
    put_plan(store, runs, list(range(seeds)), suite="made-up")
    put(store, *(run for run in runs if (run.task, run.algorithm, run.seed) != ("bandit/10-arm", "ppo", 4)))
    return store
