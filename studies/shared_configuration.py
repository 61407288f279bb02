"""Chooses the trainer configuration that all native algorithms share, on `reinforce` alone.

    python studies/shared_configuration.py rates --out RATES.json      on an otherwise idle machine
    python studies/shared_configuration.py search [--out FILE.json] [--rates RATES.json]

Two stages, both on the tasks and budgets of suites/quickstart.yaml, judged by the area under the curve (mean score
over the budget, 0 = random policy, 1 = solved), averaged over the tasks:

1. every trainer configuration of a grid, 10 seeds;
2. the best three of them, the present default, and the best of those with more trajectories than it, with every pair of
   regularisers, 30 fresh seeds.

Chosen is, of the configurations whose mean lies within one standard error of the best mean, the one with the fewest
epochs, and of those that differ in nothing else the regularisers that the search started from.

Without `--rates` every configuration has the same env steps. With them it has the same seconds: the budget of each task
is multiplied by the configuration's rate (env steps per second of training, 10 seeds in one batch) over the default's.

The default becomes the choice at equal seconds if that choice is within one standard error of the best at equal steps
as well; otherwise it stays. This was declared before the first run.

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
DEFAULT = {"learning_rate": 1e-3, "trajectories": 8, "epochs": 4}
#: Apart from the seeds 0 to 4 and 100 to 109, on which the default of before was chosen.
FIRST_SEEDS, FRESH_SEEDS = range(200, 210), range(300, 330)

#: Interleaved repetitions of every measurement of a rate, of which the median counts.
REPEATS = 3

#: Relative rate of a trainer configuration (its name in JSON) on a task.
Rates = dict[str, dict[str, float]]


def train(
    address: str, budget: int, parameters: dict[str, Any], seeds: range, *, every: int, episodes: int
) -> dict[int, SeedResult]:
    """Trains `reinforce`, all seeds in one batch."""
    results: dict[int, SeedResult] = {}
    recorder = Recorder(
        seeds,
        budget=budget,
        every=every,
        episodes=episodes,
        on_finished=lambda result: results.update({result.seed: result}),
    )
    task = catalogue.task(address)
    catalogue.algorithm("reinforce").configure(parameters, task).train(task, seeds, recorder, device="cpu")
    return results


def areas(address: str, budget: int, parameters: dict[str, Any], seeds: range) -> Array:
    """Mean score over the budget (step function) of each seed; a diverged seed counts as random."""
    references = catalogue.task(address).references
    if references is None:
        raise ValueError(f"{address} has no reference returns")
    results = train(address, budget, parameters, seeds, every=budget // 10, episodes=10)
    found = []
    for seed in seeds:
        curve = results[seed].curve
        returns = [references.random if r is None else r for r in curve["eval_return"]]
        scores = [references.score(r) for r in returns]
        found.append(np.average(scores[:-1], weights=np.diff(curve["env_steps"])))
    return np.array(found)


def grid(choices: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Every combination."""
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def key(configuration: dict[str, Any]) -> str:
    """The trainer configuration's name in a file of rates."""
    return json.dumps({name: configuration[name] for name in TRAINER})


def relative_rates() -> Rates:
    """Env steps per second of training over the default's, by configuration and task; evaluation is not counted."""
    configurations = grid(TRAINER)
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(REPEATS):
        for configuration, (address, budget) in itertools.product(configurations, TASKS.items()):
            start = time.process_time()
            train(address, budget // 2, configuration, FIRST_SEEDS, every=budget // 2, episodes=1)
            seconds.setdefault((key(configuration), address), []).append(time.process_time() - start)
    typical = {where: float(np.median(times)) for where, times in seconds.items()}
    return {
        key(each): {address: typical[key(DEFAULT), address] / typical[key(each), address] for address in TASKS}
        for each in configurations
    }


def search(configurations: list[dict[str, Any]], seeds: range, rates: Rates | None) -> list[dict[str, Any]]:
    """One row for each configuration, best mean first; printed as they come and as a table."""
    rows = []
    for chosen in configurations:
        start = time.perf_counter()
        by_task = {}
        for address, budget in TASKS.items():
            scale = rates[key(chosen)][address] if rates else 1.0
            by_task[address] = areas(address, max(10, round(budget * scale / 10) * 10), chosen, seeds)
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
    parser.add_argument("what", choices=("rates", "search"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rates", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: object
    if arguments.what == "rates":
        found = relative_rates()
        print(json.dumps(found, indent=1))
    else:
        rates = json.loads(arguments.rates.read_text()) if arguments.rates else None
        first = search(grid(TRAINER), FIRST_SEEDS, rates)
        trainers = [{name: row[name] for name in TRAINER} for row in first]
        larger = next(each for each in trainers if each["trajectories"] > DEFAULT["trajectories"])
        finalists = trainers[:FINALISTS]
        finalists += [each for each in (DEFAULT, larger) if each not in finalists]
        second = search([{**a, **b} for a in finalists for b in grid(REGULARISERS)], FRESH_SEEDS, rates)
        found = {"first": first, "second": second}
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
