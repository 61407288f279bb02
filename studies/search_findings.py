"""What each algorithm reaches at equal search, with its defaults, and after a shorter search: from a compact table.

    python studies/search_findings.py studies/tables/SUITE.csv.gz [studies/tables/SUITE-found.csv.gz]

Prints three tables, with a second file four, of the area under the score curve (`studies/search_table.py` makes both):

1. by task: what a replicate chose, one setting for all tasks (mean over replicates ± standard error); the mean of the
   default settings on the same seeds; that of the settings that each task alone would choose;
2. over tasks: the same, families of tasks weighing alike, and the difference between chosen and default, replicate by
   replicate;
3. the expected best of m configurations, cross-fitted between the tuning seeds (statistics/searches.py);
4. with the settings found: area and final score by task, the area over tasks.

Verdicts are the report's: `haepo-bench report RESULTS/SUITE/search`. Nothing here is put to a test.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from findings import mean_and_error, two_digits

from haepo_bench.statistics.searches import best_of_cross_fitted
from haepo_bench.text import markdown_table
from haepo_bench.verdicts.measured import weights_of

#: Rows of the first tables: what stands in a cell, and in which order. One task alone has no choice per task.
CHOSEN, DEFAULT, OWN = "choice", "default", "choice per task"
NAMES = {CHOSEN: "chosen", DEFAULT: "default", OWN: "chosen for each task"}


def per_task(runs: pd.DataFrame) -> str:
    """Chosen; default; chosen for the task alone."""
    tasks = list(dict.fromkeys(runs["task"]))
    rows = []
    for algorithm, own in runs.groupby("algorithm", sort=False):
        cells = [f"`{algorithm}`"]
        for task in tasks:
            here = own[own["task"] == task]
            roles = {role: part["area"] for role, part in here.groupby("role")}
            if CHOSEN not in roles:
                cells.append(mean_and_error(roles["control"]))
                continue
            complete = [role for role in (DEFAULT, OWN) if role in roles and len(roles[role]) == len(roles[CHOSEN])]
            others = [two_digits(roles[role].mean()) for role in complete]
            cells.append("; ".join([mean_and_error(roles[CHOSEN]), *others]))
        rows.append(cells)
    return markdown_table(["algorithm", *(f"`{task}`" for task in tasks)], rows)


def over_tasks(runs: pd.DataFrame) -> pd.DataFrame:
    """[algorithm, role, replicate] -> mean area over tasks, families alike; only replicates with all tasks."""
    tasks = list(dict.fromkeys(runs["task"]))
    wide = runs.pivot_table(index=["algorithm", "role", "replicate"], columns="task", values="area", sort=False)
    return (wide[tasks].dropna() @ weights_of(tasks)).unstack("role")


def overall(runs: pd.DataFrame) -> str:
    means = over_tasks(runs[runs["role"].isin(NAMES)])
    roles = [role for role in NAMES if role in means]
    rows = []
    for algorithm, own in means.groupby(level="algorithm", sort=False):
        gain = own[CHOSEN] - own[DEFAULT]
        shown = [mean_and_error(own[role]) if own[role].notna().all() else "not complete" for role in roles]
        rows.append([f"`{algorithm}`", str(len(own)), *shown, mean_and_error(gain)])
    return markdown_table(["algorithm", "replicates", *(NAMES[role] for role in roles), "chosen above default"], rows)


def best_of_scores(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """{algorithm: [replicate, m] -> expected area of the best of m configurations}, m from 1."""
    trials = runs[runs["role"] == "trial"]
    tasks, scores = sorted(set(trials["task"])), {}
    weights = weights_of(tasks)
    most = int(trials["trial"].max()) + 1
    for algorithm, own in trials.groupby("algorithm", sort=False):
        found = []
        for _, replicate in own.groupby("replicate"):
            wide = replicate.pivot_table(index=["trial", "task"], columns="seed", values="area")
            areas = wide.to_numpy().reshape(most, len(tasks), -1)  # trials and tasks, both in order
            found.append(best_of_cross_fitted(np.einsum("kes,e->ks", areas, weights)))
        scores[str(algorithm)] = pd.DataFrame(found, columns=range(1, most + 1))
    return scores


def best_of(runs: pd.DataFrame) -> str:
    scores = best_of_scores(runs)
    shown = [m for m in (1, 2, 4, 8, 16) if all(m in own for own in scores.values())]
    rows = [[f"`{name}`", *(mean_and_error(own[m]) for m in shown)] for name, own in scores.items()]
    return markdown_table(["algorithm", *(f"best of {m}" for m in shown)], rows)


def with_settings_found(runs: pd.DataFrame) -> str:
    """Area and final score by task; over tasks the area alone."""
    tasks = list(dict.fromkeys(runs["task"]))
    rows = []
    for algorithm, own in runs.groupby("algorithm", sort=False):
        area, final = (own.pivot_table(index="seed", columns="task", values=each) for each in ("area", "final_score"))
        cells = [f"{mean_and_error(area[task])}; {two_digits(final[task].mean())}" for task in tasks]
        rows.append([f"`{algorithm}`", *cells, mean_and_error(area[tasks].dropna() @ weights_of(tasks))])
    return markdown_table(["algorithm", *(f"`{task}`" for task in tasks), "over tasks"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("found", type=Path, nargs="?")
    arguments = parser.parse_args()
    runs = pd.read_csv(arguments.table)
    for table in (per_task(runs), overall(runs), best_of(runs)):
        print(f"{table}\n")
    if arguments.found is not None:
        print(with_settings_found(pd.read_csv(arguments.found)))


if __name__ == "__main__":
    main()
