"""Training speed on CartPole-v1 side by side with others that learn from each step as often, one core each.

Two classes: four passes over whole batches (native algorithms against PPO of Stable-Baselines3), and PPO at CleanRL's
settings (4 environments x 128 steps, 4 passes of 4 minibatches). PureJaxRL's PPO, one seed and ten seeds in one call,
belongs to both: it takes four passes. Networks are 64 x 64. Rivals take turns; medians are of training alone.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from haepo_bench import catalogue
from haepo_bench.engine.library import status
from haepo_bench.training.recorder import Recorder, SeedResult

TASK = "gym/CartPole-v1"
CLEANRL = {
    "n_envs": 4, "n_steps": 128, "batch_size": 128, "n_epochs": 4, "learning_rate": 2.5e-4,
    "learning_rate_schedule": "linear", "ent_coef": 0.01,
}  # fmt: skip
#: Four gradient steps on whole batches, as native algorithms take them.
FOUR_PASSES = {"n_envs": 16, "n_steps": 128, "batch_size": 2048, "n_epochs": 4}


def speed(name: str, engine: str, seeds: int, budget: int, settings: dict[str, Any]) -> float:
    """Env steps of all seeds per second of training."""
    task = catalogue.task(TASK)
    algorithm = catalogue.algorithm_on(task, name).configure(settings, task)
    algorithm.engine = engine  # type: ignore[assignment]  # one of its engines
    found: list[SeedResult] = []
    recorder = Recorder(range(seeds), budget=budget, every=budget, episodes=1, on_finished=found.append)
    algorithm.train(task, range(seeds), recorder, device="cpu")
    costs = [result.cost for result in found]
    return float(sum(c["env_steps_collected"] for c in costs) / sum(c["wall_seconds"] for c in costs))


def purejaxrl(python: str, checkout: Path, seeds: int, budget: int, repeats: int) -> list[float]:
    """As `speed`, of PureJaxRL, on the cores that this process may use."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    script = Path(__file__).with_name("purejaxrl_speed.py")
    command = [python, str(script), str(checkout), str(seeds), str(budget), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "XLA_FLAGS": flags}, check=False)
    if done.returncode:
        sys.exit(f"PureJaxRL does not run:\n{done.stderr[-2000:]}")
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def rivals(repeats: int, budget: int, checkout: Path | None, python: str) -> dict[str, Any]:
    """Env steps per second of every rival by class, with what each is measured against."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, for children too
    engines = ["torch", *(["compiled"] if status().library is not None else [])]
    measured: dict[str, list[float]] = {}

    def take(key: str, values: list[float]) -> None:
        measured.setdefault(key, []).extend(values)
        print(f"{key}: {values[-1]:,.0f}", file=sys.stderr, flush=True)

    for _ in range(repeats):
        for engine in engines:
            for seeds in (10, 1):
                take(f"4 passes, {engine}, {seeds}", [speed("haepo-listwise", engine, seeds, budget, {})])
            take(f"ppo, {engine}, 10", [speed("ppo-batched", engine, 10, budget, CLEANRL)])
        take("4 passes, sb3, 1", [speed("ppo", "torch", 1, budget // 4, FOUR_PASSES)])
        take("ppo, sb3, 1", [speed("ppo", "torch", 1, budget // 4, CLEANRL)])
        if checkout is not None:
            for seeds in (1, 10):
                take(f"purejaxrl, {seeds}", purejaxrl(python, checkout, seeds, budget, 1))
    rates = {key: round(statistics.median(values)) for key, values in measured.items()}
    return {"env_steps_per_second": rates, "rows": rows(rates, engines)}


def rows(rates: dict[str, int], engines: list[str]) -> list[dict[str, Any]]:
    """One row per class: each engine's rate and its ratio to every rival of the class."""
    classes = (
        ("4 passes, 10 seeds, defaults", "4 passes, {}, 10", {"SB3, same passes": "4 passes, sb3, 1"}, "purejaxrl, 10"),
        ("4 passes, 1 seed, defaults", "4 passes, {}, 1", {"SB3, same passes": "4 passes, sb3, 1"}, "purejaxrl, 1"),
        ("PPO, CleanRL's settings, 10 seeds", "ppo, {}, 10", {"SB3": "ppo, sb3, 1"}, "purejaxrl, 10"),
    )
    found = []
    for title, key, others, jax in classes:
        against = {**others, **({f"PureJaxRL, {jax.rpartition(' ')[2]} seeds": jax} if jax in rates else {})}
        for engine in engines:
            own = rates[key.format(engine)]
            ratios = {name: round(own / rates[other], 2) for name, other in against.items()}
            found.append({"class": title, "engine": engine, "env_steps_per_second": own, "times": ratios})
    return found


def table(found: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["| class | engine | env steps/s | times the rival |", "|---|---|---|---|"]
    for row in found["rows"]:
        times = ", ".join(f"{name}: {ratio:g}" for name, ratio in row["times"].items())
        lines.append(f"| {row['class']} | {row['engine']} | {row['env_steps_per_second']:,} | {times} |")
    return "\n".join(lines)
