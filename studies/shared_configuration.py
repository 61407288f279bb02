"""Chooses the trainer configuration that all native algorithms share, on `reinforce` alone.

    python studies/shared_configuration.py [--out FILE.json]

Two stages, both on the tasks and budgets of suites/quickstart.yaml, judged by the area under the curve (mean score
over the budget, 0 = random policy, 1 = solved), averaged over the tasks:

1. every trainer configuration of a grid, 5 seeds;
2. the best three of them, and the one that a pilot had suggested, with every pair of regularisers, 10 fresh seeds.

Chosen is, of the configurations whose mean lies within one standard error of the best mean, the one with the fewest
epochs, and of those that differ in nothing else the regularisers that the search started from.

Nothing but `reinforce` is run, so no method under test has a say in the configuration.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haepo_bench import catalogue
from haepo_bench.text import markdown_table
from haepo_bench.training.recorder import Recorder, SeedResult

Array = NDArray[Any]

#: Task and budget (env steps a seed), as in suites/quickstart.yaml.
TASKS = {"bandit/10-arm": 5_000, "random-walk/20": 10_000, "gym/CartPole-v1": 50_000}

TRAINER = {
    "learning_rate": (1e-3, 3e-3, 1e-2),
    "trajectories": (8, 16, 32),
    "epochs": (1, 4, 8),
}
REGULARISERS = {"entropy_coefficient": (0.01, 0.1), "kl_coefficient": (0.0, 0.1, 1.0)}
FINALISTS = 3
SUGGESTED = {"learning_rate": 3e-3, "trajectories": 16, "epochs": 4}
FIRST_SEEDS, FRESH_SEEDS = range(5), range(100, 110)


def areas(address: str, budget: int, parameters: dict[str, Any], seeds: range) -> Array:
    """Mean score over the budget (step function) of each seed; a diverged seed counts as random."""
    task = catalogue.task(address)
    if task.references is None:
        raise ValueError(f"{address} has no reference returns")
    results: dict[int, SeedResult] = {}
    recorder = Recorder(
        seeds,
        budget=budget,
        every=budget // 10,
        episodes=10,
        on_finished=lambda result: results.update({result.seed: result}),
    )
    algorithm = catalogue.algorithm("reinforce").configure(parameters, task)
    algorithm.train(task, seeds, recorder, device="cpu")
    found = []
    for seed in seeds:
        curve = results[seed].curve
        returns = [task.references.random if r is None else r for r in curve["eval_return"]]
        scores = [task.references.score(r) for r in returns]
        found.append(np.average(scores[:-1], weights=np.diff(curve["env_steps"])))
    return np.array(found)


def grid(choices: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Every combination."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def search(configurations: list[dict[str, Any]], seeds: range) -> list[dict[str, Any]]:
    """One row for each configuration, best mean first; printed as they come and as a table."""
    rows = []
    for chosen in configurations:
        start = time.perf_counter()
        by_task = {address: areas(address, budget, chosen, seeds) for address, budget in TASKS.items()}
        by_seed = np.mean(list(by_task.values()), axis=0)
        rows.append(
            {
                **chosen,
                **{address: float(values.mean()) for address, values in by_task.items()},
                "mean": float(by_seed.mean()),
                "standard_error": float(by_seed.std(ddof=1) / len(seeds) ** 0.5),
            }
        )
        shown = " ".join(f"{name}={value:.3g}" for name, value in rows[-1].items())
        print(f"{shown} ({time.perf_counter() - start:.0f} s)", flush=True)
    rows.sort(key=lambda row: -row["mean"])
    table = markdown_table([*rows[0]], [[f"{value:.3g}" for value in row.values()] for row in rows])
    print(f"\n{table}\n", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    first = search(grid(TRAINER), FIRST_SEEDS)
    finalists = [{name: row[name] for name in TRAINER} for row in first[:FINALISTS]]
    if SUGGESTED not in finalists:
        finalists.append(SUGGESTED)
    second = search([{**a, **b} for a in finalists for b in grid(REGULARISERS)], FRESH_SEEDS)
    if arguments.out:
        arguments.out.write_text(json.dumps({"first": first, "second": second}, indent=1) + "\n")


if __name__ == "__main__":
    main()
