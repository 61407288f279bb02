"""Many configurations as rows of one batch against the seeds of one configuration: a ratio measured in one run.

    python benchmarks/rows.py [--repeats N] [--configurations N] [--seeds N] [--budget N] [--only NAME]

Both sides train on one thread and take turns, A B A B ...; a rate is training env steps per CPU second of the process.
All configurations differ in the learning rate and in the numbers of their loss.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from haepo_bench import catalogue
from haepo_bench.training.algorithm import Algorithm, BatchRow
from haepo_bench.training.recorder import Recorder, SeedResult, peak_memory_bytes

#: What a search would try: the learning rate, and one to three numbers of the loss.
SPACES: dict[str, Callable[[np.random.Generator], dict[str, float]]] = {
    "haepo-listwise": lambda draw: {"temperature": draw.uniform(0.5, 2), "kl_coefficient": draw.uniform(0.01, 0.2)},
    "grpo": lambda draw: {"beta": draw.uniform(0.01, 0.1), "clip_high": draw.uniform(0.1, 0.3)},
    "dpo": lambda draw: {"beta": draw.uniform(0.05, 0.2)},
    "ppo-batched": lambda draw: {"gae_lambda": draw.uniform(0.8, 0.99), "ent_coef": draw.uniform(0.001, 0.02)},
}
RATES = {"ppo-batched": 1e-3}


def configured(name: str, task: str, engine: Any, own: dict[str, float]) -> Algorithm:
    algorithm = catalogue.algorithm(name).configure(own, catalogue.task(task))
    algorithm.engine = engine
    return algorithm


def searched(name: str, task: str, engine: str, count: int) -> list[BatchRow]:
    """One seed of each of so many configurations."""
    draw = np.random.default_rng(0)
    rows = []
    for key in range(count):
        rate = RATES.get(name, 3e-3) * draw.uniform(0.8, 1.2)
        own = {"learning_rate": rate, **SPACES[name](draw)}
        rows.append(BatchRow(key, 0, configured(name, task, engine, {n: float(v) for n, v in own.items()})))
    return rows


def rate(task: str, rows: list[BatchRow], budget: int) -> float:
    """Training env steps per CPU second."""
    results: list[SeedResult] = []
    keys = [row.key for row in rows]
    recorder = Recorder(keys, budget=budget, every=budget, episodes=1, on_finished=results.append)
    begun = time.process_time()
    rows[0].algorithm.train_rows(catalogue.task(task), rows, recorder, device="cpu")
    taken = time.process_time() - begun
    return sum(float(result.cost["env_steps_collected"] or 0) for result in results) / taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--configurations", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--task", default="gym/CartPole-v1")
    parser.add_argument("--only", action="append", choices=SPACES, help="algorithms; all where left out")
    parser.add_argument("--engine", action="append", choices=("torch", "compiled"), help="both where left out")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{asked.task}, {asked.budget:,} env steps per run; env steps per CPU second, medians of {asked.repeats}")
    print(f"| algorithm | engine | 1 configuration x {asked.seeds} | {asked.configurations} x 1 | ratio (range) |")
    for engine in asked.engine or ("torch", "compiled"):
        for name in asked.only or SPACES:
            one = configured(name, asked.task, engine, {"learning_rate": RATES.get(name, 3e-3)})
            alike = [BatchRow(seed, seed, one) for seed in range(asked.seeds)]
            many = searched(name, asked.task, engine, asked.configurations)
            pairs = [
                (rate(asked.task, alike, asked.budget), rate(asked.task, many, asked.budget))
                for _ in range(asked.repeats)
            ]
            ratios = sorted(b / a for a, b in pairs)
            first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {name} | {engine} | {first:,.0f} | {second:,.0f} | {spread} |")
            sys.stdout.flush()
    print(f"most memory of this process: {peak_memory_bytes() / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
