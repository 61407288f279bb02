"""Finite tasks stepped by the kernels against the same tasks stepped in numpy: a ratio measured in one run.

    python benchmarks/stepping.py [--repeats N] [--seeds N]

On both sides the policy acts and learns in the kernels; both train on one thread and take turns, A B A B ... A rate is
training env steps per CPU second of the process, evaluations included.
"""

import argparse
import statistics
import sys
from unittest.mock import patch

import torch
from rows import RATES, configured, rate

from haepo_bench.engine import collector
from haepo_bench.training.algorithm import BatchRow
from haepo_bench.training.segments import compiled

#: Env steps of each task, and of `ppo-batched`, which makes ten passes over them.
TASKS = {
    "deep-sea/8": 30_000,
    "random-walk/20": 20_000,
    "random-walk/100": 40_000,
    "corridor/64": 30_000,
    "maze/4": 20_000,
}
OF_PPO = 5_000


def rates(task: str, name: str, seeds: int) -> tuple[float, float]:
    """Stepped in numpy, and by the kernels."""
    rows = [BatchRow(seed, seed, configured(name, task, "compiled", {})) for seed in range(seeds)]
    budget = OF_PPO if name in RATES else TASKS[task]
    with patch.object(collector, "stepped", lambda _: False), patch.object(compiled, "stepped", lambda _: False):
        before = rate(task, rows, budget)
    return before, rate(task, rows, budget)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{asked.seeds} seeds; env steps per CPU second, medians of {asked.repeats}")
    print("| task | algorithm | numpy | kernels | ratio (range) |\n|---|---|---|---|---|")
    for task in TASKS:
        for name in ("reinforce", "ppo-batched"):
            pairs = [rates(task, name, asked.seeds) for _ in range(asked.repeats)]
            ratios = sorted(b / a for a, b in pairs)
            first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| `{task}` | `{name}` | {first:,.0f} | {second:,.0f} | {spread} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
