"""Sizes and budgets of tasks on which something is open: tuned `reinforce` and tuned `ppo-batched` alone.

    python studies/calibration.py --out FOLDER [--seeds 3] [--tasks ADDRESS=BUDGET ...]

Every task is run with a small grid of settings of the two algorithms, and with `uniform`; no variant of HAEPO is run.
The best setting of each is chosen by its mean area under the score curve over the first half of the seeds and reported
over the second half, so that the choice does not flatter it. A task is open for an algorithm where that area is from
0.3 to 0.7; below, or above, a comparison on it says little. What has been run is kept in FOLDER and not run again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from haepo_bench.results.frames import frames
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.text import markdown_table

NAME = "calibration"
OPEN = (0.3, 0.7)
#: Budgets to begin with, in env steps.
TASKS = {
    "deep-sea/6": 20_000,
    "deep-sea/8": 30_000,
    "key-door/5": 20_000,
    "random-walk/20": 10_000,
    "corridor/64": 20_000,
    "umbrella/20": 20_000,
    "maze/4": 100_000,
}
RATES = (3e-4, 1e-3, 3e-3)
#: Name in the suite to the algorithm, and its parameters.
GRID = {
    "uniform": ("uniform", {}),
    **{
        f"reinforce {rate:g} {bonus:g} {scale}": (
            "reinforce",
            {"learning_rate": rate, "entropy_coefficient": bonus, "return_normalisation": scale},
        )
        for rate in RATES
        for bonus, scale in ((0.0, "standardise"), (0.01, "standardise"), (0.01, "centre"))
    },
    **{
        f"ppo-batched {rate:g} {bonus:g}": ("ppo-batched", {"learning_rate": rate, "ent_coef": bonus})
        for rate in RATES
        for bonus in (0.0, 0.01)
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", metavar="ADDRESS=BUDGET")
    parser.add_argument("--workers", default="2")
    options = parser.parse_args()
    given = [each.rpartition("=") for each in options.tasks or ()]
    tasks = {address: int(budget) for address, _, budget in given} or TASKS
    options.out.mkdir(parents=True, exist_ok=True)
    suite = options.out / f"{NAME}.yaml"
    suite.write_text(suite_text(tasks, options.seeds), encoding="utf-8")
    command = [sys.executable, "-m", "haepo_bench", "run", str(suite), "--results", str(options.out)]
    subprocess.run([*command, "--workers", options.workers], check=True)
    print(table(frames(select(Store(options.out / NAME)).cells).runs, tasks))


def suite_text(tasks: dict[str, int], seeds: int) -> str:
    """The suite that is run."""
    lines = [f"name: {NAME}", f"seeds: {seeds}", "evaluation: {episodes: 20}", "tasks:"]
    lines += [f'  - {{id: "{address}", budget: {{env_steps: {budget}}}}}' for address, budget in tasks.items()]
    lines += ["algorithms:"]
    for name, (use, parameters) in GRID.items():
        own = ", ".join(f"{key}: {value}" for key, value in parameters.items())
        lines += [f"  - {{use: {use}, name: {name.replace(' ', '_')}, params: {{{own}}}}}"]
    return "\n".join([*lines, ""])


def table(runs: pd.DataFrame, tasks: dict[str, int]) -> str:
    """Best setting of each algorithm on each task, and its area on the seeds that did not choose it."""
    rows = []
    for task, budget in tasks.items():
        for algorithm in ("reinforce", "ppo-batched", "uniform"):
            own = runs[(runs["task"] == task) & runs["algorithm"].str.startswith(algorithm) & runs["area"].notna()]
            if own.empty:
                rows.append([f"`{task}`", f"{budget:,}", f"`{algorithm}`", "0", "–", "not run"])
                continue
            seeds = sorted(own["seed"].unique())
            first = own["seed"].isin(seeds[: len(seeds) // 2])
            best = own[first].groupby("algorithm")["area"].mean().idxmax()
            rest = own[~first & (own["algorithm"] == best)]["area"]
            area = float(rest.mean())
            state = "open" if OPEN[0] <= area <= OPEN[1] else "floor" if area < OPEN[0] else "ceiling"
            rows.append([f"`{task}`", f"{budget:,}", f"`{best}`", str(len(rest)), f"{area:.2f}", state])
    return markdown_table(["task", "env steps", "best setting", "seeds", "area", ""], rows)


if __name__ == "__main__":
    main()
