"""Who is like whom? How the scores of a suite's algorithms go together over tasks and seeds, and a map of that.

    python benchmarks/neighbours.py RESULTS/SUITE [--value final_score | area | ...] [--out FILE.png]

For every run the score less the mean of its task over all algorithms and seeds, divided by the task's standard
deviation, so that no task counts for more because its scores spread more. Two algorithms are as alike as these numbers
correlate (Pearson) over the (task, seed) pairs that both have. The map is classical scaling of the distances
sqrt(2 (1 - r)): near points go together, axes and orientation mean nothing. Untuned, on few tasks: provisional.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from haepo_bench.results.frames import frames
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store


def correlations(runs: pd.DataFrame, value: str) -> pd.DataFrame:
    """Of each algorithm with each, [algorithm, algorithm]; NaN where two never differ or share no run."""
    standard = runs.groupby("task")[value].transform(lambda x: (x - x.mean()) / (x.std(ddof=0) or 1.0))
    table = runs.assign(standard=standard).pivot_table(index=["task", "seed"], columns="algorithm", values="standard")
    return table[list(dict.fromkeys(runs["algorithm"]))].corr()


def scaling(similar: np.ndarray) -> np.ndarray:
    """Places [algorithm, 2] by classical (Torgerson) scaling of sqrt(2 (1 - r)); where r is unknown it counts as 0."""
    squared = 2 * (1 - np.nan_to_num(similar))
    np.fill_diagonal(squared, 0.0)
    centre = np.eye(len(squared)) - 1 / len(squared)
    values, vectors = np.linalg.eigh(-0.5 * centre @ squared @ centre)
    places: np.ndarray = vectors[:, [-1, -2]] * np.sqrt(np.clip(values[[-1, -2]], 0, None))
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--value", default="area", help="a measure of runs (default: area under the score curve)")
    parser.add_argument("--out", type=Path, help="draw the map here")
    arguments = parser.parse_args()
    runs = frames(select(Store(arguments.results)).cells).runs
    similar = correlations(runs[runs[arguments.value].notna()], arguments.value)
    print("| algorithm | most like it (correlation) | least like it |\n|---|---|---|")
    for name in similar:
        others = similar[name].drop(name).dropna().sort_values(ascending=False)
        near = ", ".join(f"`{other}` {r:.2f}" for other, r in others.head(3).items())
        far = ", ".join(f"`{other}` {r:.2f}" for other, r in others.tail(1).items())
        print(f"| `{name}` | {near} | {far} |")
    if arguments.out:
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot as plt

        figure, axis = plt.subplots(figsize=(9, 7), layout="constrained")
        places = scaling(similar.to_numpy())
        axis.plot(*places.T, "o", markersize=5)
        for name, place in zip(similar, places, strict=True):
            axis.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=8)
        axis.set(
            xticks=[], yticks=[], aspect="equal", title=f"near: {arguments.value} goes together over tasks and seeds"
        )
        figure.savefig(arguments.out, dpi=110)
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
