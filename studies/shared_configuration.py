"""Chooses the number of trajectories that all native algorithms share, on `reinforce` alone.

    python studies/shared_configuration.py rates --out RATES.json      on an otherwise idle machine
    python studies/shared_configuration.py learn --rates RATES.json [--out FILE.json]

8 or 16 trajectories, each with learning rates 1e-3 and 3e-3 (a larger batch may want a larger one), all else as the
default has it: two numbers of trajectories and two learning rates, 30 fresh seeds, on the tasks and budgets of the
quickstart suite as they were when the default was first chosen. Judged by the area under the curve (mean score over
the budget, 0 = random policy, 1 = solved), averaged over the tasks, twice: at equal env steps, and at equal
seconds, where the budget of each task is multiplied by the configuration's rate (env steps per second of training,
10 seeds in one batch) over the default's.

Declared before the run: the default stays if its mean at equal seconds is within one standard error of the best
there. Else the best at equal seconds replaces it, if that is within one standard error of the best at equal steps
as well.

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

TRAINER = {"learning_rate": (1e-3, 3e-3), "trajectories": (8, 16), "epochs": (4,)}
DEFAULT = {"learning_rate": 1e-3, "trajectories": 8, "epochs": 4}
SEEDS = range(300, 330)
TIMED_SEEDS = range(200, 210)

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
            train(address, budget // 2, configuration, TIMED_SEEDS, every=budget // 2, episodes=1)
            seconds.setdefault((key(configuration), address), []).append(time.process_time() - start)
    typical = {where: float(np.median(times)) for where, times in seconds.items()}
    return {
        key(each): {address: typical[key(DEFAULT), address] / typical[key(each), address] for address in TASKS}
        for each in configurations
    }


def learn(rates: Rates | None) -> list[dict[str, Any]]:
    """One row for each configuration, best mean first; at equal seconds with rates, else at equal env steps."""
    rows = []
    for chosen in grid(TRAINER):
        by_task = {}
        for address, budget in TASKS.items():
            scale = rates[key(chosen)][address] if rates else 1.0
            by_task[address] = areas(address, round(budget * scale / 10) * 10, chosen, SEEDS)
        by_seed = np.mean(list(by_task.values()), axis=0)
        rows.append(
            {
                **chosen,
                **{address: float(values.mean()) for address, values in by_task.items()},
                "mean": float(by_seed.mean()),
                "standard_error": float(by_seed.std(ddof=1) / len(SEEDS) ** 0.5),
            }
        )
    rows.sort(key=lambda row: -row["mean"])
    table = markdown_table([*rows[0]], [[f"{value:.3g}" for value in row.values()] for row in rows])
    print(f"At equal {'seconds' if rates else 'env steps'}:\n\n{table}\n", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rates", "learn"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rates", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: object
    if arguments.what == "rates":
        found = relative_rates()
        print(json.dumps(found, indent=1))
    elif arguments.rates is None:
        parser.error("learn needs --rates, the file that rates wrote")
    else:
        found = {"steps": learn(None), "seconds": learn(json.loads(arguments.rates.read_text()))}
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
