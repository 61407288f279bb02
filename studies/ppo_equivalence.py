"""Is `ppo-batched` the same algorithm as Stable-Baselines3's PPO (`ppo`), and how many times faster is it?

    python studies/ppo_equivalence.py [--seeds 30] [--budget STEPS] [--out FILE.json]

Trains both on CartPole-v1 and Acrobot-v1 with RL Baselines3 Zoo's settings, all of which both have (Acrobot's include
running normalisation of observations and rewards), one after the other on one core, with the same seeds, marks and
evaluation episodes. `ppo` takes one seed after the other; `ppo-batched` takes all as one batch.

Judged by the area under the learning curve and by the final score, where 0 is the random policy and 1 a solved task.
Declared in advance: they are equivalent on a task if, for both measures, the difference of means is shown to lie within
+-0.10 by two one-sided Welch t tests at 5 % each (the 90 % interval of the difference lies inside the margin). The
verdict needs all four, so no correction for several tests is due. The power is the probability that the test shows
equivalence where the algorithms are in truth the same, given the standard deviations that were found; and each table
says up to which standard deviation (equal in both) it would be 0.8.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import optimize, stats

from haepo_bench import catalogue
from haepo_bench.statistics.curves import area_under_curve
from haepo_bench.training.recorder import Recorder, SeedResult

#: Budget in env steps a seed, by task: enough for both to be solved, where seeds differ least and the power is largest.
BUDGETS = {"gym/CartPole-v1": 100_000, "gym/Acrobot-v1": 100_000}
MARKS, EPISODES = 20, 20
MARGIN, LEVEL, POWER = 0.10, 0.05, 0.8
ALGORITHMS = ("ppo", "ppo-batched")


def train(name: str, address: str, seeds: int, budget: int) -> dict[str, Any]:
    """Area and final score of each seed, training seconds of all together, and how long everything took."""
    task = catalogue.task(address)
    if task.references is None:
        raise ValueError(f"{address} has no reference returns")
    results: list[SeedResult] = []
    recorder = Recorder(
        range(seeds), budget=budget, every=budget // MARKS, episodes=EPISODES, on_finished=results.append
    )
    start = time.perf_counter()
    catalogue.algorithm(name).configure({}, task).train(task, range(seeds), recorder, device="cpu")
    elapsed = time.perf_counter() - start
    areas, finals = [], []
    for result in sorted(results, key=lambda result: result.seed):
        # From the mark on at which a seed diverged it counts as the random policy.
        returns = [task.references.random if r is None else r for r in result.curve["eval_return"]]
        scores = np.array([task.references.score(r) for r in returns])
        areas.append(float(area_under_curve(scores, np.array(result.curve["env_steps"], dtype=float))))
        finals.append(float(scores[-1]))
    steps, training = (
        sum(float(result.cost[key] or 0) for result in results) for key in ("env_steps_collected", "wall_seconds")
    )
    return {
        "area under the curve": areas, "final score": finals, "diverged": sum(r.status != "done" for r in results),
        "training_seconds": training, "seconds": elapsed, "steps_per_second": steps / training,
    }  # fmt: skip


def power_of(error: float, degrees: float) -> float:
    """Probability that both one-sided tests reject where the true difference is zero.

    `error` is the standard error of the difference; the estimate is taken as Student-distributed about zero.
    """
    if error == 0:
        return 1.0
    room = MARGIN / error - stats.t.ppf(1 - LEVEL, degrees)
    return float(max(0.0, 2 * stats.t.cdf(room, degrees) - 1))


def equivalence(a: list[float], b: list[float]) -> dict[str, Any]:
    """Two one-sided Welch t tests of |mean b - mean a| < MARGIN."""
    n = len(a)
    parts = np.var(a, ddof=1) / n, np.var(b, ddof=1) / n
    error = float(np.sqrt(sum(parts)))
    difference = float(np.mean(b) - np.mean(a))
    # Without any spread the difference is what it is, to every level.
    degrees = float(sum(parts) ** 2 / sum(part**2 / (n - 1) for part in parts)) if error else float(2 * n - 2)
    reach = float(stats.t.ppf(1 - LEVEL, degrees)) * error
    p = float(stats.t.sf((MARGIN - abs(difference)) / error, degrees)) if error else float(abs(difference) >= MARGIN)
    return {
        "means": [float(np.mean(a)), float(np.mean(b))], "deviations": [float(np.std(x, ddof=1)) for x in (a, b)],
        "difference": difference, "interval": [difference - reach, difference + reach],
        "p": p, "power": power_of(error, degrees), "equivalent": p < LEVEL,
    }  # fmt: skip


def largest_deviation(seeds: int) -> float:
    """Standard deviation of both up to which the test has the power wanted."""

    def excess(deviation: float) -> float:
        return power_of(deviation * np.sqrt(2 / seeds), 2 * seeds - 2) - POWER

    return float(optimize.brentq(excess, 1e-6, 10.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--budget", type=int, help=f"env steps a seed on every task (default: {BUDGETS})")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: a comparison needs at least 2")
    if arguments.budget is not None and arguments.budget < MARKS:
        parser.error(f"--budget: at least {MARKS}")
    torch.set_num_threads(1)
    report: dict[str, Any] = {"seeds": arguments.seeds, "margin": MARGIN, "level": LEVEL, "tasks": {}}
    print(
        f"{arguments.seeds} seeds; margin +-{MARGIN} of the score span, level {LEVEL}; a test has power {POWER} up to "
        f"a standard deviation of {largest_deviation(arguments.seeds):.3f} in both\n"
    )
    verdicts = []
    for address, usual in BUDGETS.items():
        budget = arguments.budget or usual
        runs = {name: train(name, address, arguments.seeds, budget) for name in ALGORITHMS}
        first, second = runs.values()
        print(f"{address}, {budget} env steps a seed\n")
        print("| measure | ppo (sd) | ppo-batched (sd) | difference [90 % interval] | p | power | equivalent |")
        print("|---|---|---|---|---|---|---|")
        tests = {}
        for measure in ("area under the curve", "final score"):
            found = tests[measure] = equivalence(first[measure], second[measure])
            verdicts.append(found["equivalent"])
            (a, b), (sd_a, sd_b), (low, high) = found["means"], found["deviations"], found["interval"]
            print(
                f"| {measure} | {a:.3f} ({sd_a:.3f}) | {b:.3f} ({sd_b:.3f}) | {found['difference']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}] | {found['p']:.2g} | {found['power']:.2f} "
                f"| {'yes' if found['equivalent'] else 'not shown'} |"
            )
        print(
            "\n| algorithm | training env steps/s | training s | s with evaluation | diverged |\n|---|---|---|---|---|"
        )
        for name, run in runs.items():
            print(
                f"| {name} | {run['steps_per_second']:,.0f} | {run['training_seconds']:.1f} | {run['seconds']:.1f} "
                f"| {run['diverged']} |"
            )
        ratio = second["steps_per_second"] / first["steps_per_second"]
        print(f"\nppo-batched trains {ratio:.1f} times as fast\n", flush=True)
        report["tasks"][address] = {"budget": budget, "runs": runs, "tests": tests, "speed_ratio": ratio}
    print("equivalent on both tasks" if all(verdicts) else "equivalence not shown everywhere")
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
