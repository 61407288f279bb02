"""Who is like whom? How the scores of a suite's algorithms go together over tasks and seeds, and a map of that.

    python studies/neighbours.py RESULTS/SUITE [--value final_score | area | ...] [--map FILE.png]
        [--curves TASK --curves-out FILE.png]

For every run the score less the mean of its task over all algorithms and seeds, divided by the task's standard
deviation, so that no task counts for more because its scores spread more. Two algorithms are as alike as these numbers
correlate (Pearson) over the (task, seed) pairs that both have. The map is classical scaling of the distances
sqrt(2 (1 - r)): axes and orientation mean nothing, and algorithms that did not run on all tasks are left out.
The curves are the mean score over seeds and the range from the worst to the best seed, a small picture an algorithm.
"""

import argparse
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from haepo_bench.results.frames import frames
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store

mpl.use("agg")

#: It does not learn, so it is like nothing that does.
CONTROL = "uniform"


def correlations(runs: pd.DataFrame, value: str) -> pd.DataFrame:
    """Of each algorithm with each, [algorithm, algorithm]; NaN where two never differ or share no run."""
    standard = runs.groupby("task")[value].transform(lambda x: (x - x.mean()) / (x.std(ddof=0) or 1.0))
    table = runs.assign(standard=standard).pivot_table(index=["task", "seed"], columns="algorithm", values="standard")
    return table[list(dict.fromkeys(runs["algorithm"]))].corr()


def scaling(similar: np.ndarray) -> tuple[np.ndarray, float]:
    """Places by classical (Torgerson) scaling of sqrt(2 (1 - r)); where r is unknown it counts as 0.

    Returns:
        ([algorithm, 2], the share of the distances' variance that two dimensions hold).
    """
    squared = 2 * (1 - np.nan_to_num(similar))
    np.fill_diagonal(squared, 0.0)
    centre = np.eye(len(squared)) - 1 / len(squared)
    values, vectors = np.linalg.eigh(-0.5 * centre @ squared @ centre)
    places: np.ndarray = vectors[:, [-1, -2]] * np.sqrt(np.clip(values[[-1, -2]], 0, None))
    return places, float(values[-2:].sum() / values.clip(0).sum())


def together(places: np.ndarray, names: list[str]) -> list[tuple[np.ndarray, list[str]]]:
    """Labels and where they stand: points whose labels would overlap share one, beside the rightmost."""
    apart = 0.025 * np.ptp(places[:, 1])
    groups: list[list[int]] = []
    for i in np.argsort(-places[:, 1]).tolist():
        near = [g for g in groups if any(np.hypot(*((places[i] - places[j]) * (0.3, 1))) < apart for j in g)]
        groups = [g for g in groups if g not in near] + [[*(j for g in near for j in g), i]]
    return [(np.array([places[g, 0].max(), places[g, 1].mean()]), [names[j] for j in g]) for g in groups]


def draw_map(similar: pd.DataFrame, value: str, out: Path) -> None:
    figure, axis = plt.subplots(figsize=(12, 9), layout="constrained")
    places, share = scaling(similar.to_numpy())
    axis.plot(*places.T, "o", markersize=5)
    for place, names in together(places, list(similar)):
        axis.annotate(
            textwrap.fill(", ".join(names), 30),
            place,
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=8,
            va="center",
        )
    axis.margins(x=0.2)
    title = f"Methods by the correlation of their {value} over tasks and seeds ({share:.0%} of the distances' variance)"
    axis.set(xticks=[], yticks=[], aspect="equal", title=title)
    figure.savefig(out, dpi=110)
    print(f"written: {out}")


def draw_curves(curves: pd.DataFrame, task: str, out: Path) -> None:
    own = curves[curves["task"] == task]
    names = list(dict.fromkeys(own["algorithm"]))
    columns = 6
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.1 * columns, 1.5 * rows),
        sharex=True,
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for axis in grid.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(grid.flat, names, strict=False):
        by_mark = own[own["algorithm"] == name].groupby("env_steps")["score"]
        mean, low, high = by_mark.mean(), by_mark.min(), by_mark.max()
        axis.fill_between(mean.index, low, high, alpha=0.2, linewidth=0)
        axis.plot(mean.index, mean)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.suptitle(f"{task}: score against env steps, mean over seeds and range", fontsize=10)
    figure.savefig(out, dpi=110)
    print(f"written: {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--value", default="area", help="a measure of runs (default: area under the score curve)")
    parser.add_argument("--map", type=Path, help="draw the map here")
    parser.add_argument("--curves", metavar="TASK", help="draw every algorithm's curve on this task")
    parser.add_argument("--curves-out", type=Path, default=Path("curves.png"))
    arguments = parser.parse_args()
    found = frames(select(Store(arguments.results)).cells)
    runs = found.runs[found.runs["algorithm"] != CONTROL]
    similar = correlations(runs[runs[arguments.value].notna()], arguments.value)
    print("| algorithm | most like it (correlation) | least like it |\n|---|---|---|")
    for name in similar:
        others = similar[name].drop(name).dropna().sort_values(ascending=False)
        near = ", ".join(f"`{other}` {r:.2f}" for other, r in others.head(3).items())
        far = ", ".join(f"`{other}` {r:.2f}" for other, r in others.tail(1).items())
        print(f"| `{name}` | {near} | {far} |")
    if arguments.map:
        whole = runs.groupby("algorithm")["task"].nunique() == runs["task"].nunique()
        on_all = [name for name in similar if whole[name]]
        draw_map(similar.loc[on_all, on_all], arguments.value, arguments.map)
    if arguments.curves:
        draw_curves(found.curves, arguments.curves, arguments.curves_out)


if __name__ == "__main__":
    main()
