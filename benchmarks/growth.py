"""How cost grows with seeds, cells and runs.

    python benchmarks/growth.py [--only seeds|cells|runs]

Prints a table each. Every figure is of one command in a process of its own, from its start to its end and with its
worker: CPU seconds, and the peak of resident memory of the larger of the two.

- seeds: 1 to 200 of `reinforce` on CartPole-v1, 20,000 env steps each, one evaluation, one worker.
- cells: 10 to 5,000, which are 10 algorithms (`reinforce` with learning rates of their own) on 1 to 500 random walks of
  at most 20 steps, 200 env steps of one seed each, one worker; then the same with nothing left to do, and the report.
- runs: 200 to 50,000 made-up ones as in many_runs.py, with the index.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from many_runs import make_store, measured, suite

from haepo_bench.suite.resolve import load_plan

SEEDS = (1, 3, 10, 30, 100, 200)
CELLS = (10, 100, 1_000, 5_000)
ALGORITHMS = 10
#: Multiples of 200: twenty tasks and ten algorithms.
RUNS = (200, 1_000, 10_000, 50_000)
STEPS = 20_000


def grown_seeds(folder: Path) -> None:
    print("| seeds | CPU s | env steps per CPU s | peak MiB |\n|---|---|---|---|")
    for seeds in SEEDS:
        written(
            folder / f"seeds-{seeds}.yaml",
            seeds=seeds,
            budget={"env_steps": STEPS},
            evaluation={"every": STEPS, "episodes": 1},
            tasks=["gym/CartPole-v1"],
            algorithms=["reinforce"],
        )
        _, cpu, peak = measured(["run", f"seeds-{seeds}.yaml", "--quiet"], folder)
        print(f"| {seeds} | {cpu:.1f} | {seeds * STEPS / cpu:,.0f} | {1024 * peak:.0f} |", flush=True)


def grown_cells(folder: Path) -> None:
    print("| cells | `run`, CPU s | a cell | run again, CPU s | `report --format json`, CPU s | peak MiB |")
    print("|---|---|---|---|---|---|")
    for cells in CELLS:
        algorithms = [
            {"use": "reinforce", "name": f"r{number}", "params": {"learning_rate": 1e-3 * (1 + number)}}
            for number in range(ALGORITHMS)
        ]
        written(
            folder / f"cells-{cells}.yaml",
            seeds=1,
            budget={"env_steps": 200},
            evaluation={"every": 200, "episodes": 1},
            tasks=[{"id": f"random-walk/{4 + task}", "time_limit": 20} for task in range(cells // ALGORITHMS)],
            algorithms=algorithms,
        )
        run = ["run", f"cells-{cells}.yaml", "--quiet"]
        (_, cpu, peak), (_, again, _) = measured(run, folder), measured(run, folder)
        _, report, _ = measured(["report", f"results/cells-{cells}", "--format", "json"], folder)
        row = f"{cells} | {cpu:.1f} | {cpu / cells:.3f} | {again:.1f} | {report:.1f} | {1024 * peak:.0f}"
        print(f"| {row} |", flush=True)


def grown_runs(folder: Path) -> None:
    print("| runs | `run`, all finished, CPU s | `run --dry-run`, CPU s | `report --format json`, CPU s | peak MiB |")
    print("|---|---|---|---|---|")
    for runs in RUNS:
        own = folder / f"runs-{runs}"
        own.mkdir()
        (own / "suite.yaml").write_text(suite(runs), encoding="utf-8")
        make_store(own / "results" / "many", load_plan(own / "suite.yaml"))
        measured(["run", "suite.yaml", "--quiet"], own)  # which makes the index
        commands = (["run", "suite.yaml", "--quiet"], ["run", "suite.yaml", "--dry-run"])
        found = [measured(command, own) for command in (*commands, ["report", "results/many", "--format", "json"])]
        row = " | ".join(f"{cpu:.1f}" for _, cpu, _ in found)
        print(f"| {runs} | {row} | {1024 * max(peak for _, _, peak in found):.0f} |", flush=True)


def written(path: Path, **suite: object) -> None:
    """Writes a suite that trains in one worker on the CPU."""
    execution = {"workers": 1, "device": "cpu"}
    path.write_text(yaml.safe_dump({"name": path.stem, **suite, "execution": execution}), encoding="utf-8")


TABLES: dict[str, Callable[[Path], None]] = {"seeds": grown_seeds, "cells": grown_cells, "runs": grown_runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TABLES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for number, name in enumerate([options.only] if options.only else TABLES):
            print("\n" * (number > 0), end="")
            TABLES[name](Path(temporary))


if __name__ == "__main__":
    main()
