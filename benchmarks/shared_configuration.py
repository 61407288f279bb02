"""Chooses the trainer configuration that all native algorithms share, on `reinforce` alone.

    python benchmarks/shared_configuration.py [--seeds N] [--out FILE.json]

Trains `reinforce` on three tasks with every configuration of a grid and prints the area under the curve (mean score over
the budget, 0 = random policy, 1 = solved) of each, best mean over the tasks first. Nothing but `reinforce` is run, so no
method under test has a say in the configuration.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch

from haepo_bench import catalogue
from haepo_bench.training.recorder import Recorder, SeedResult

#: Task and budget (env steps a seed), as in suites/quickstart.yaml.
TASKS = {"bandit/10-arm": 5_000, "random-walk/20": 10_000, "gym/CartPole-v1": 50_000}

GRID = {
    "learning_rate": (1e-3, 3e-3, 1e-2),
    "trajectories": (8, 16, 32),
    "epochs": (1, 4, 8),
    "entropy_coefficient": (0.0, 0.01),
    "kl_coefficient": (0.0, 0.1),
}


def area(address: str, budget: int, parameters: dict[str, float], seeds: int) -> float:
    """Mean over seeds of the mean score over the budget (step function); a diverged seed counts as random."""
    task = catalogue.task(address)
    if task.references is None:
        raise ValueError(f"{address} has no reference returns")
    results: list[SeedResult] = []
    recorder = Recorder(range(seeds), budget=budget, every=budget // 10, episodes=10, on_finished=results.append)
    algorithm = catalogue.algorithm("reinforce").configure(parameters, task)
    algorithm.train(task, range(seeds), recorder, device="cpu")
    areas = []
    for result in results:
        returns = [task.references.random if r is None else r for r in result.curve["eval_return"]]
        scores = [task.references.score(r) for r in returns]
        areas.append(np.average(scores[:-1], weights=np.diff(result.curve["env_steps"])))
    return float(np.mean(areas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for values in itertools.product(*GRID.values()):
        parameters = dict(zip(GRID, values, strict=True))
        start = time.perf_counter()
        areas = {address: area(address, budget, parameters, arguments.seeds) for address, budget in TASKS.items()}
        rows.append({**parameters, **areas, "mean": float(np.mean(list(areas.values())))})
        shown = " ".join(f"{name}={value:g}" for name, value in rows[-1].items())
        print(f"{shown} ({time.perf_counter() - start:.0f} s)", flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    print()
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in sorted(rows, key=lambda row: -row["mean"]):
        print("| " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")


if __name__ == "__main__":
    main()
