"""How long `run`, its dry run and a report take where everything has been run already, and how much memory.

    python benchmarks/many_runs.py [--runs N] [--keep FOLDER]

Makes up a finished suite of 100,000 runs (20 tasks, 10 algorithms, 500 seeds, 21 evaluation points) whose identities
are those of a real suite, so that `run` finds nothing to do. Then times each command in a process of its own, from its
start to its end, first without the index of the records and then with it, and prints a table of targets with what was
measured. Resident memory is the peak of the process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from haepo_bench.execution.records import result_record
from haepo_bench.results.record import RunRecord
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.training.recorder import SeedResult

TASKS = 20
ALGORITHMS = (
    *("haepo-weighted", "haepo-listwise", "haepo-ranking", "reinforce", "reinforce-togo"),
    *("grpo", "rloo", "dpo", "snis", "ppo-batched"),
)
BUDGET, POINTS = 20_000, 21
#: Seconds and GiB: what each command may take of 100,000 runs, with the index.
TARGETS = {"run": (30.0, None), "run --dry-run": (10.0, None), "report --format json": (90.0, 2.0)}


def suite(runs: int) -> str:
    """A suite that asks for so many runs."""
    tasks = "".join(
        f"  - {{id: random-walk/{10 + task}, budget: {{env_steps: {BUDGET}}}, "
        f"evaluation: {{every: {BUDGET // (POINTS - 1)}}}}}\n"
        for task in range(TASKS)
    )
    algorithms = "".join(f"  - {{use: {name}}}\n" for name in ALGORITHMS)
    seeds = max(1, runs // (TASKS * len(ALGORITHMS)))
    return f"name: many\nseeds: {seeds}\ntasks:\n{tasks}algorithms:\n{algorithms}execution: {{device: cpu}}\n"


def make_store(root: Path, plan: Plan) -> None:
    """Writes a finished run for everything that a plan asks for; the numbers of a cell's first 25 seeds recur."""
    rng = np.random.default_rng(0)
    for cell in plan.cells:
        (root / cell.folder).mkdir(parents=True)
        speed = rng.uniform(1, 6)
        texts = [made_up(cell, seed, speed, rng, plan.declaration).to_json() for seed in cell.seeds[:25]]
        for place, seed in enumerate(cell.seeds):
            text = texts[place % len(texts)]
            text = text.replace(f'"seed": {cell.seeds[place % len(texts)]},', f'"seed": {seed},', 1)
            text = text.replace(
                '"started": "2026-01-01T00:00', f'"started": "2026-01-01T{seed // 60 % 24:02d}:{seed % 60:02d}'
            )
            (root / cell.folder / f"seed-{seed}.json").write_text(text, encoding="utf-8")


def made_up(cell: Cell, seed: int, speed: float, rng: np.random.Generator, declaration: str) -> RunRecord:
    """A run as the program stores them: columns, provenance and cost of a native algorithm."""
    steps = np.linspace(0, cell.budget, POINTS)
    assert cell.references is not None
    low, high = cell.references.random, cell.references.solved
    returns = low + (high - low) * (1 - np.exp(-speed * steps / cell.budget)) + rng.normal(0, 0.05, POINTS)
    names = ("train_return", "loss", "gradient_norm", "policy_entropy", "kl_previous", "state_coverage")
    curve = {
        "env_steps": [int(step) for step in steps],
        "gradient_steps": [4 * point for point in range(POINTS)],
        "episodes": [16 * point for point in range(POINTS)],
        "wall_seconds": np.round(np.cumsum(rng.uniform(0.01, 0.02, POINTS)), 6).tolist(),
        "cpu_seconds": np.round(np.cumsum(rng.uniform(0.01, 0.02, POINTS)), 6).tolist(),
        "eval_return": returns.tolist(),
        "eval_return_greedy": (returns + 0.01).tolist(),
        "eval_return_std": rng.uniform(0.1, 0.2, POINTS).tolist(),
        **{name: rng.normal(0, 1, POINTS).tolist() for name in names},
    }
    final = {name: curve[name][-1] for name in ("eval_return", "eval_return_greedy", "eval_return_std")}
    cost = {
        "env_steps_collected": cell.budget + seed % 50,
        "episodes": 16 * POINTS,
        "gradient_steps": 4 * POINTS,
        "wall_seconds": curve["wall_seconds"][-1],
        "cpu_seconds": curve["cpu_seconds"][-1],
        "evaluation_env_steps": 5000,
        "evaluation_seconds": 0.1,
        "peak_memory_bytes": 300_000_000 + seed,
    }
    provenance = {
        "package_version": "0.2.0",
        "git": {"commit": "0" * 40, "dirty": False},
        "node": "made-up",
        "platform": "Linux-6.1-x86_64-with-glibc2.36",
        "cpu": "made up",
        "device": "cpu",
        "threads": 1,
        "declaration": declaration,
        "reference_seconds": 0.01,
        "seeds": list(range(seed - seed % 10, seed - seed % 10 + 10)),
        "log": f"logs/{cell.folder}/seed-{seed - seed % 10}-and-9-more.log",
        "started": "2026-01-01T00:00:00+00:00",
    }
    return result_record("many", cell, SeedResult(seed, "done", "", curve, final, cost), provenance)


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds on the clock, of CPU time, and the peak of resident memory in GiB."""
    begun = time.monotonic()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "haepo_bench", *command], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(
            f"{' '.join(command)}: exit code {process.returncode}\n{(folder / 'output').read_text()[-2000:]}"
        )
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="folder for the store, used again where it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suite.yaml").write_text(suite(options.runs), encoding="utf-8")
        root = folder / "results" / "many"
        if not root.exists():
            make_store(root, load_plan(folder / "suite.yaml"))
        commands = {
            "run --dry-run": ["run", "suite.yaml", "--dry-run"],
            "run": ["run", "suite.yaml", "--quiet"],
            "report --format json": ["report", "results/many", "--format", "json"],
        }
        print("| command | index | seconds | CPU seconds | peak GiB | target |\n|---|---|---|---|---|---|")
        for stage in ("made", "used"):
            for name, command in commands.items():
                seconds, cpu, peak = measured(command, folder)
                limit, memory = TARGETS[name]
                target = f"{limit:g} s" + (f", {memory:g} GiB" if memory else "")
                print(f"| `{name}` | {stage} | {seconds:.1f} | {cpu:.1f} | {peak:.2f} | {target} |", flush=True)


if __name__ == "__main__":
    main()
