"""The tables and pictures of docs/explanation/findings.md, from the runs of a suite.

    python studies/findings.py RESULTS/SUITE [--columns NAME ...] [--heatmap FILE.png]

Prints one table of all tasks that were run, then, task by task, each algorithm's seeds, mean final return and score of
the sampled policy and mean score of the greedy policy with the standard error over seeds, worst seed and area under the
score curve; where the task counts successes, how many seeds ever had one in training and the median env steps until
then (seeds without one count as infinite), also relative to what a uniform policy is expected to need; and the last
values of further curve columns. For deep seas it prints the largest size that at least half of the seeds solve: greedy
score of 0.9 or more at the budget.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haepo_bench.results.frames import frames
from haepo_bench.results.record import FINISHED
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.text import markdown_table

SOLVED = 0.9


def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(one row a run, one row a mark) of a suite's results."""
    found = frames(select(Store(folder)).cells)
    last = found.curves.groupby(["task", "algorithm", "seed"], sort=False).last().reset_index()
    extra = [name for name in last.columns if name not in found.runs.columns]
    ended = found.runs[found.runs["status"].isin(FINISHED)]
    runs = ended.merge(last[["task", "algorithm", "seed", *extra]], on=["task", "algorithm", "seed"], how="left")
    return runs, found.curves


def mean_and_error(values: pd.Series) -> str:
    values = values.dropna()
    if len(values) < 2:
        return two_digits(values.mean()) if len(values) else "–"
    return f"{two_digits(values.mean())} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"


def two_digits(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00")


def task_table(runs: pd.DataFrame, columns: list[str]) -> str:
    """One task's table as Markdown."""
    names = ["algorithm", "seeds", "final return", "final score", "greedy", "worst seed, greedy", "area"]
    successes = "first_success" in runs and runs["first_success"].notna().any()
    if successes:
        names += ["seeds with success", "first success, env steps", "relative to uniform"]
    columns = [name for name in columns if name in runs and runs[name].notna().any()]
    names += [f"`{name}`" for name in columns]
    rows = []
    for algorithm, own in runs.groupby("algorithm", sort=False):
        cells = [f"`{algorithm}`", str(len(own)), mean_and_error(own["final_return"])]
        cells += [mean_and_error(own["final_score"])]
        cells += [mean_and_error(own["final_score_greedy"]), f"{own['final_score_greedy'].min():.2f}"]
        cells += [f"{own['area'].mean():.2f}"]
        if successes:
            cells += [str(own["first_success"].notna().sum())]
            cells += [median_or_never(own["first_success"], "{:,.0f}")]
            cells += [median_or_never(own["relative_first_success"], "{:.2g}")]
        cells += [f"{own[name].mean():.2f}" for name in columns]
        rows.append(cells)
    return markdown_table(names, rows)


def matrix(runs: pd.DataFrame) -> str:
    """Mean final score of the sampled policy with its standard error, and area under the score curve, task by task."""
    tasks = list(dict.fromkeys(runs["task"]))
    rows = []
    for algorithm, own in runs.groupby("algorithm", sort=False):
        cells = []
        for task in tasks:
            here = own[own["task"] == task]
            cells.append(f"{mean_and_error(here['final_score'])}; {here['area'].mean():.2f}" if len(here) else "–")
        rows.append([f"`{algorithm}`", *cells])
    return markdown_table(["algorithm", *(f"`{task}`" for task in tasks)], rows)


def median_or_never(values: pd.Series, form: str) -> str:
    median = float(np.median(values.fillna(np.inf)))
    return form.format(median) if np.isfinite(median) else "never"


def deep_seas(runs: pd.DataFrame) -> str:
    """Per algorithm, how many seeds solve each deep sea, and the largest that half of them do."""
    own = runs[runs["task"].str.startswith("deep-sea/")].copy()
    own["size"] = own["task"].str.removeprefix("deep-sea/").astype(int)
    own["solved"] = own["final_score_greedy"] >= SOLVED
    share = own.pivot_table(index="algorithm", columns="size", values="solved", aggfunc="mean", sort=False)
    share = share[sorted(share.columns)]
    rows = []
    for algorithm, row in share.iterrows():
        largest = max((size for size, value in row.items() if value >= 0.5), default=None)
        rows.append([f"`{algorithm}`", *(f"{value:.0%}" for value in row), str(largest or "none")])
    return markdown_table(["algorithm", *map(str, share.columns), "largest solved by half"], rows)


def heatmap(runs: pd.DataFrame, file: Path) -> None:
    """Mean final score (sampled policy) of every algorithm on every task."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    table = runs.pivot_table(index="algorithm", columns="task", values="final_score", sort=False)
    figure, axes = plt.subplots(
        figsize=(2.2 + 0.95 * table.shape[1], 1.6 + 0.34 * table.shape[0]), layout="constrained"
    )
    image = axes.imshow(table.clip(0, 1), cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(table.shape[1]), table.columns, rotation=30, ha="right")
    axes.set_yticks(range(table.shape[0]), table.index)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        colour = "white" if value < 0.6 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(image, label="final score, sampled policy (mean over seeds)")
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--heatmap", type=Path)
    arguments = parser.parse_args()
    runs, _ = load(arguments.results)
    print(f"### All tasks: final score ± standard error; area\n\n{matrix(runs)}\n")
    for task, own in runs.groupby("task", sort=False):
        print(f"### {task}\n\n{task_table(own, arguments.columns)}\n")
    if runs["task"].str.startswith("deep-sea/").any():
        print(f"### Deep seas solved\n\n{deep_seas(runs)}\n")
    if arguments.heatmap:
        heatmap(runs, arguments.heatmap)


if __name__ == "__main__":
    main()
