"""Sizes and budgets of tasks on which something is open: tuned `reinforce` and tuned `ppo-batched` alone.

    python studies/calibration.py --out FOLDER [--seeds 8] [--tasks ADDRESS=BUDGET ...]

Every task is run with a small grid of settings of the two algorithms, and with `uniform`; no variant of HAEPO is run.
The best setting of each is chosen by its mean area under the score curve over one half of the seeds and its area taken
from the other half, both ways round, so that the choice does not flatter it. A task is open for an algorithm where that
area is from 0.3 to 0.7; below, or above, a comparison on it says little. What has been run is kept in FOLDER and not
run again.
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
#: Tasks of the shipped suites with their budgets, in env steps.
TASKS = {
    "bandit/10-arm": 2_000,
    "corridor/equal": 3_000,
    "corridor/16": 4_000,
    "corridor/32": 8_000,
    "corridor/64": 15_000,
    "corridor/128": 30_000,
    "random-walk/20": 10_000,
    "random-walk/40": 40_000,
    "deep-sea/6": 5_000,
    "deep-sea/8": 30_000,
    "deep-sea/10": 80_000,
    "multi-goal/4": 2_500,
    "key-door/6": 40_000,
    "maze/4": 100_000,
    "umbrella/5": 10_000,
    "umbrella/10": 15_000,
    "t-maze/5": 3_000,
    "t-maze/10": 6_000,
    "gym/CartPole-v1": 30_000,
    "gym/Acrobot-v1": 40_000,
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
    parser.add_argument("--seeds", type=int, default=8)
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
    """Best setting of each algorithm on each task, and the area of settings on the seeds that did not choose them."""
    rows = []
    for task, budget in tasks.items():
        for algorithm in ("reinforce", "ppo-batched", "uniform"):
            own = runs[(runs["task"] == task) & runs["algorithm"].str.startswith(algorithm) & runs["area"].notna()]
            if own.empty:
                rows.append([f"`{task}`", f"{budget:,}", f"`{algorithm}`", "0", "–", "not run"])
                continue
            seeds = sorted(own["seed"].unique())
            first = own["seed"].isin(seeds[: len(seeds) // 2])
            areas = pd.concat([judged_by_the_rest(own, first), judged_by_the_rest(own, ~first)])
            area, error = float(areas.mean()), areas.std(ddof=1) / len(areas) ** 0.5
            best = own.groupby("algorithm")["area"].mean().idxmax()
            state = "open" if OPEN[0] <= round(area, 2) <= OPEN[1] else "floor" if area < OPEN[0] else "ceiling"
            rows.append([f"`{task}`", f"{budget:,}", f"`{best}`", str(len(areas)), f"{area:.2f} ± {error:.2f}", state])
    return markdown_table(["task", "env steps", "best setting", "seeds", "area", ""], rows)


def judged_by_the_rest(runs: pd.DataFrame, choose: pd.Series) -> pd.Series:
    """Areas, on the other seeds, of the setting that is best on the seeds that choose."""
    best = runs[choose].groupby("algorithm")["area"].mean().idxmax()
    return runs[~choose & (runs["algorithm"] == best)]["area"]


if __name__ == "__main__":
    main()
