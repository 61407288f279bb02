"""How fast the engine is, as ratios measured side by side in one run.

    python benchmarks/throughput.py [--repeats N] [--quick] [--out FILE.json]
    python benchmarks/throughput.py --rivals [--purejaxrl CHECKOUT --jax-python PYTHON]

Prints a table of every target with what was measured, and the tables behind it; --out keeps all of it as JSON. Things
that are compared run in turn, A B A B ..., and medians are taken, so that a machine whose speed drifts does not favour
one of them. Steps per second are training steps over training seconds as the runs themselves record them: start-up and
evaluation count for neither side.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rivals
import torch

from haepo_bench import catalogue
from haepo_bench.policies.mlp import Network
from haepo_bench.results.store import Store
from haepo_bench.training.adam import Adam
from haepo_bench.training.episodes.packed_batch import PackedBatch
from haepo_bench.training.episodes.rollout import Collector, Rollout
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.streams import stream

SEEDS = 10
NATIVE = ("haepo-listwise", "grpo", "dpo")
#: The configuration that the targets speak of, whatever the defaults are.
SETTINGS = {"trajectories": 16, "epochs": 4, "learning_rate": 3e-3}


def against_ppo(repeats: int, budget: int) -> dict[str, Any]:
    """Native algorithms with 10 seeds and 2 workers against PPO (RL Zoo's settings) with 2 workers, on CartPole-v1.

    The native ones are one suite, PPO another; the two take turns, with nothing else running.
    """
    suite = {
        "name": "throughput",
        "seeds": SEEDS,
        "tasks": [{"id": "gym/CartPole-v1", "budget": {"env_steps": budget}}],
        "evaluation": {"every": budget, "episodes": 1},
        "algorithms": [*({"use": name, "params": SETTINGS} for name in NATIVE), {"use": "ppo", "seeds": 2}],
    }
    speeds: dict[str, list[float]] = {name: [] for name in (*NATIVE, "ppo")}
    memory = dict.fromkeys(speeds, 0.0)
    for _ in range(repeats):
        for names in (NATIVE, ("ppo",)):
            with tempfile.TemporaryDirectory() as folder:
                run(suite, folder, "--workers", "2", *(part for name in names for part in ("--only", name)))
                found = [record for _, record in records(folder)]
            for name in names:
                costs = [record.cost for record in found if record.algorithm == name]
                # Seconds are each seed's share of its job; two jobs run side by side.
                taken = sum(c["wall_seconds"] for c in costs)
                speeds[name].append(2 * sum(c["env_steps_collected"] for c in costs) / taken)
                memory[name] = max(memory[name], *(c["peak_memory_bytes"] / 2**20 for c in costs))
    return {
        name: {
            "env_steps_per_second": round(statistics.median(speed)),
            "times_ppo": round(statistics.median(a / b for a, b in zip(speed, speeds["ppo"], strict=True)), 1),
            "peak_memory_mib": round(memory[name]),
        }
        for name, speed in speeds.items()
    }


def workers(repeats: int) -> dict[str, float]:
    """One worker against two on a suite of 20 cells; wall time of the whole command."""
    suite = {
        "name": "cells",
        "seeds": SEEDS,
        "tasks": [{"id": f"random-walk/{n}", "budget": {"env_steps": 10_000}} for n in (16, 18, 20, 22, 24)],
        "evaluation": {"every": 10_000, "episodes": 1},
        "algorithms": ["haepo", "reinforce", "grpo"],
    }
    times: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(repeats):
        for count, taken in times.items():
            with tempfile.TemporaryDirectory() as folder:
                taken.append(run(suite, folder, "--workers", count))
    one, two = statistics.median(times["1"]), statistics.median(times["2"])
    speedup = statistics.median(a / b for a, b in zip(times["1"], times["2"], strict=True))
    return {"one_worker_seconds": round(one, 1), "two_workers_seconds": round(two, 1), "speedup": round(speedup, 2)}


def overhead(repeats: int) -> dict[str, float]:
    """Scheduling and storing a run: 200 runs that train next to nothing, less the training that they record."""
    suite = {
        "name": "overhead",
        "seeds": 200,
        "tasks": [{"id": "bandit/10-arm", "budget": {"env_steps": 1}}],
        "algorithms": ["reinforce"],
    }
    spent = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            none = run(suite, folder, "--workers", "1", "--set", "seeds=1")
            wall = run(suite, folder, "--workers", "1")
            trained = sum(
                r.cost["wall_seconds"] + r.cost["evaluation_seconds"] for _, r in records(folder) if r.seed > 0
            )
        spent.append((wall - none - trained) / 199)
    return {"milliseconds_a_run": round(1000 * statistics.median(spent), 2)}


def scaling(address: str, budget: int, repeats: int, configurations: list[tuple[int, int]]) -> dict[str, float]:
    """Seconds of training (median) for each (seeds, trajectories a batch), haepo-listwise at 4 epochs."""
    task = catalogue.task(address)
    times: dict[tuple[int, int], list[float]] = {configuration: [] for configuration in configurations}
    for _ in range(repeats):
        for (seeds, trajectories), taken in times.items():
            settings = {**SETTINGS, "trajectories": trajectories}
            algorithm = catalogue.algorithm("haepo-listwise").configure(settings, task)
            recorder = Recorder(range(seeds), budget=budget, every=budget, episodes=1)
            start = time.perf_counter()
            algorithm.train(task, range(seeds), recorder, device="cpu")
            taken.append(time.perf_counter() - start)
    return {f"{s} seeds x {k} trajectories": round(statistics.median(t), 3) for (s, k), t in times.items()}


def update_efficiency(repeats: int) -> dict[str, float]:
    """Arithmetic rate of an update on full-length episodes against that of plain 64 x 64 products, one core."""
    task = catalogue.task("gym/CartPole-v1")
    head = make_head(task)
    network = Network(4, (64, 64), head)
    K, T = 16, task.horizon
    parameters = torch.from_numpy(np.stack([network.initial(stream("initialisation", s)) for s in range(SEEDS)]))
    random = np.random.default_rng(0)
    rollout = Rollout(
        observations=torch.from_numpy(random.normal(size=(SEEDS, 4, K, T)).astype(np.float32)),
        actions=torch.from_numpy(random.integers(2, size=(SEEDS, K, T))),
        rewards=torch.ones(SEEDS, K, T),
        mask=torch.ones(SEEDS, K, T, dtype=torch.bool),
        lengths=np.full((SEEDS, K), T),
        returns=random.normal(size=(SEEDS, K)),
        measures={},
    )
    objective = catalogue.algorithm("haepo-listwise").configure({}, task).objective  # type: ignore[attr-defined]  # a native one has it
    packed = PackedBatch(network, rollout, parameters, None, task, "cpu")
    adam = Adam(parameters.clone(), 1e-3)
    left, right = torch.randn(SEEDS, 64, 64), torch.randn(SEEDS, 64, 512)
    products = 40
    weights = sum(a * b for a, b in zip(network.widths, network.widths[1:], strict=False))
    # Forward 2, gradient of weights 2, gradient of activations 2 (not for the first layer) per weight and row.
    flops = SEEDS * K * T * (6 * weights - 2 * network.widths[0] * network.widths[1])
    updates, rates = [], []
    for _ in range(repeats + 1):
        updates.append(flops / seconds(lambda: adam.step(packed.gradient(objective)[0])))
        rates.append(products * 2 * SEEDS * 64 * 64 * 512 / seconds(lambda: [left @ right for _ in range(products)]))
    ratio = statistics.median(a / b for a, b in zip(updates[1:], rates[1:], strict=True))  # the first of each warms up
    return {
        "product_gflops": round(statistics.median(rates[1:]) / 1e9, 1),
        "update_gflops": round(statistics.median(updates[1:]) / 1e9, 1),
        "update_nanoseconds_a_sample": round(1e9 * flops / statistics.median(updates[1:]) / (SEEDS * K * T), 1),
        "share_of_product_rate": round(ratio, 3),
    }


def rollout_cost(repeats: int) -> dict[str, float]:
    """A step of a rollout against a step of the bare environment: CartPole, 10 seeds x 16 trajectories."""
    task = catalogue.task("gym/CartPole-v1", time_limit=200)
    head = make_head(task)
    network = Network(4, (64, 64), head)
    parameters = torch.from_numpy(np.stack([network.initial(stream("initialisation", s)) for s in range(SEEDS)]))
    folded = network.fold(parameters)
    collector = Collector(task, task.vector(16), head, 16, network.padded_rows(16))
    environment = task.vector(16)
    actions, live = np.zeros((SEEDS, 16), np.int64), np.ones((SEEDS, 16), bool)

    def streams() -> list[np.random.Generator]:
        return [stream("environment", seed) for seed in range(SEEDS)]

    def act(observations: torch.Tensor, noise: torch.Tensor, greedy: torch.Tensor | None) -> torch.Tensor:
        return head.sample(network.outputs(folded, observations), noise, greedy)

    def bare() -> None:
        environment.reset(streams())
        for _ in range(50):
            environment.step(actions, live)

    whole, stepping = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        longest = int(collector.collect(act, streams(), streams()).lengths.max())
        whole.append((time.perf_counter() - start) / longest)
        stepping.append(seconds(bare) / 50)
    a, b = statistics.median(whole), statistics.median(stepping)
    return {
        "rollout_microseconds_a_step": round(1e6 * a, 1),
        "environment_microseconds_a_step": round(1e6 * b, 1),
        "ratio": round(a / b, 2),
    }


def startup(repeats: int) -> dict[str, float]:
    """`haepo-bench --help` against a bare Typer program with as many commands."""
    bare = (
        "import typer\napp = typer.Typer()\n"
        + "".join(f"@app.command()\ndef command{i}() -> None: ...\n" for i in range(8))
        + "app()"
    )
    ours, theirs = [], []
    for _ in range(2 * repeats):
        ours.append(seconds(lambda: quiet([sys.executable, "-m", "haepo_bench", "--help"])))
        theirs.append(seconds(lambda: quiet([sys.executable, "-c", bare, "--help"])))
    return {
        "help_seconds": round(statistics.median(ours), 3),
        "bare_seconds": round(statistics.median(theirs), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2),
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quiet(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def run(suite: dict[str, Any], folder: str, *options: str) -> float:
    """Seconds that `haepo-bench run` takes."""
    file = Path(folder) / "suite.yaml"
    file.write_text(json.dumps(suite))  # JSON is YAML
    command = [sys.executable, "-m", "haepo_bench", "run", str(file), "--results", folder, "--quiet", *options]
    return seconds(lambda: quiet(command))


def records(folder: str) -> list[Any]:
    return [
        (path, record) for suite in Path(folder).iterdir() if suite.is_dir() for path, record in Store(suite).records()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small budgets: shows that it works, not how fast it is")
    parser.add_argument("--rivals", action="store_true", help="only both engines against others (rivals.py)")
    parser.add_argument("--purejaxrl", type=Path, help="a checkout of github.com/luchris429/purejaxrl")
    parser.add_argument(
        "--jax-python", default=sys.executable, help="a Python with jax, flax, optax, distrax, gymnax==0.0.8"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    repeats, scale = arguments.repeats, 20 if arguments.quick else 1
    if arguments.rivals or arguments.purejaxrl:
        compared = rivals.rivals(repeats, 100_000 // scale, arguments.purejaxrl, arguments.jax_python)
        print(rivals.table(compared))
        if arguments.out:
            arguments.out.write_text(json.dumps(compared, indent=1) + "\n")
        return
    many = [(s, 16) for s in (1, 2, 5, 10, 20, 50)]
    found: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
    }
    for name, measure in (
        ("update", lambda: update_efficiency(repeats)),
        ("rollout", lambda: rollout_cost(repeats)),
        ("start_up", lambda: startup(repeats)),
        ("against_ppo", lambda: against_ppo(repeats, 150_000 // scale)),
        ("seeds_cartpole", lambda: scaling("gym/CartPole-v1", 50_000 // scale, repeats, many)),
        ("seeds_bandit", lambda: scaling("bandit/10-arm", 2_000 // scale, repeats, many)),
        (
            "trajectories_cartpole",
            lambda: scaling("gym/CartPole-v1", 50_000 // scale, repeats, [(10, k) for k in (8, 16, 32, 64, 128)]),
        ),
        ("workers", lambda: workers(repeats)),
        ("overhead", lambda: overhead(repeats)),
    ):
        found[name] = measure()
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    print("\n| target | measured | met |\n|---|---|---|")
    for target, value, met in targets(found):
        print(f"| {target} | {value} | {'yes' if met else 'no'} |")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def targets(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(what was aimed at, what was measured, whether it was met)."""
    rows = [
        (f"`{name}`: 60 times the env steps/s of `ppo`", row["times_ppo"], row["times_ppo"] >= 60)
        for name, row in found["against_ppo"].items()
        if name != "ppo"
    ]
    share = found["update"]["share_of_product_rate"]
    rows.append(("updates at 0.4 of the matrix-product rate or more", share, share >= 0.4))
    for name, most in (("seeds_cartpole", 6), ("seeds_bandit", 2)):
        times = found[name]["10 seeds x 16 trajectories"] / found[name]["1 seeds x 16 trajectories"]
        rows.append((f"10 seeds at most {most} times one seed ({name[6:]})", round(times, 2), times <= most))
    rows.append(("2 workers at least 1.8 times one", found["workers"]["speedup"], found["workers"]["speedup"] >= 1.8))
    spent = found["overhead"]["milliseconds_a_run"]
    rows.append(("scheduling and storing at most 20 ms a run", spent, spent <= 20))
    memory = max(row["peak_memory_mib"] for row in found["against_ppo"].values())
    rows.append(("peak memory under 1024 MiB a worker", memory, memory < 1024))
    ratio = found["start_up"]["ratio"]
    rows.append(("--help at most 1.3 times a bare Typer program", ratio, ratio <= 1.3))
    return [(target, str(value), bool(met)) for target, value, met in rows]


if __name__ == "__main__":
    main()
