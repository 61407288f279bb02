"""What pretraining without rewards finds and is worth, from the runs of studies/aps.yaml.

    python studies/aps.py [RESULTS/aps]

Prints as Markdown, mean ± standard error over seeds: the share of the maze's cells visited in training without rewards;
the score of the last evaluation in pretraining (zero-shot: the policy at the w on which rewards regress) and, next to
it, that of training episodes at that time, whose w are random; the final score; cells visited with rewards.
"""

import argparse
from pathlib import Path

import pandas as pd
from findings import load, mean_and_error
from one_maze import make

from haepo_bench.results.record import References
from haepo_bench.text import markdown_table

AT = (10_000, 20_000, 40_000, 60_000)


def coverage(curves: pd.DataFrame) -> str:
    rows = []
    for algorithm, own in curves.groupby("algorithm", sort=False):
        points = [own[own["env_steps"] == steps]["state_coverage"] for steps in AT]
        rows.append([f"`{algorithm}`", *map(mean_and_error, points)])
    return markdown_table(["algorithm", *(f"{steps:,} env steps" for steps in AT)], rows)


def scores(curves: pd.DataFrame, references: References) -> str:
    names = ["algorithm", "zero-shot", "random w", "final score", "best seed", "worst seed", "cells visited"]
    rows = []
    for algorithm, own in curves.groupby("algorithm", sort=False):
        last = own.groupby("seed").last()
        before = ["–", "–"]
        pretrained = own[own["pretraining"] == 1].groupby("seed").last()
        if len(pretrained):
            drawn = pretrained["train_return"].map(references.score)
            before = [mean_and_error(pretrained["score"]), mean_and_error(drawn)]
        final = last["score"]
        ends = [f"{final.max():.2f}", f"{final.min():.2f}", mean_and_error(last["state_coverage"])]
        rows.append([f"`{algorithm}`", *before, mean_and_error(final), *ends])
    return markdown_table(names, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/aps"))
    _, curves = load(parser.parse_args().results)
    for task, own in curves.groupby("task", sort=False):
        references = make(str(task).rpartition("/")[2]).references
        print(f"### {task}\n\n{coverage(own) if references is None else scores(own, references)}\n")


if __name__ == "__main__":
    main()
