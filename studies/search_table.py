"""The scores of every run of a search, as one small table: what findings about it rest on, without the raw results.

    python studies/search_table.py RESULTS/SUITE/search --out FILE.csv.gz
    python studies/search_table.py RESULTS/SUITE-tuned --out FILE.csv.gz    # of `run --tuned`: one role, settings found

A row is a run that has ended: algorithm, replicate, trial (a configuration's number in its replicate), role, task,
seed, status, area under the score curve, final score of the sampled policy, CPU seconds. The roles:

    trial                        a configuration on a tuning seed
    choice, choice per task      what a replicate chose, trained again on a seed of its own
    finalist                     one of the best of all replicates, on the seeds that decide which settings were found
    default, published           settings that were not searched
    control                      an algorithm with nothing to search
    settings found               on the suite's own seeds

The same runs give the same bytes.
"""

import argparse
import gzip
from pathlib import Path

import pandas as pd

from haepo_bench.results.frames import frames
from haepo_bench.results.searches import (
    DeclaredSearch,
    Trial,
    deciding_seeds,
    final_seed,
    own_seed,
    published_name,
)
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store

KEYS = ["algorithm", "replicate", "trial", "role", "task", "seed"]


def places(search: DeclaredSearch, algorithm: str, seed: int) -> tuple[str, int | None, int | None, str]:
    """(algorithm, replicate, trial, role) of a run of a search's store."""
    trial = search.trial(algorithm)
    if isinstance(trial, Trial):
        roles = {final_seed(trial.replicate): "choice", own_seed(trial.replicate): "choice per task"}
        return *trial, "finalist" if seed in deciding_seeds() else roles.get(seed, "trial")
    published = {published_name(known): (known, "published") for known in search.spaces}
    own, role = published.get(algorithm, (algorithm, "default" if search.spaces.get(algorithm) else "control"))
    return own, next((r for r in search.replicates if seed == final_seed(r)), None), None, role


def table(runs: pd.DataFrame, search: DeclaredSearch | None) -> pd.DataFrame:
    """Of a run frame, ordered by what its rows are, algorithms as in the suite.

    Args:
        search: None where the runs are those with the settings found.
    """
    runs = runs[~runs["status"].isin(["missing", "interrupted"])]
    named = [
        places(search, algorithm, seed) if search is not None else (algorithm, None, None, "settings found")
        for algorithm, seed in zip(runs["algorithm"], runs["seed"], strict=True)
    ]
    first = pd.DataFrame(named, columns=KEYS[:4], index=runs.index)
    rest = runs[["task", "seed", "status", "area", "final_score", "cpu_seconds"]]
    found = pd.concat([first, rest], axis=1).astype({"replicate": "Int64", "trial": "Int64"})
    names = list(search.spaces if search is not None else dict.fromkeys(runs["algorithm"]))
    return found.sort_values(
        KEYS,
        key=lambda column: column.map(names.index) if column.name == "algorithm" else column,
        kind="stable",
        ignore_index=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    selection = select(Store(arguments.results))
    if selection.search is None and not selection.tuned:
        parser.error(f"nothing was searched in {arguments.results}")
    found = table(frames(selection.cells).runs, selection.search)
    text = found.to_csv(index=False, float_format="%.4g")
    arguments.out.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"written: {arguments.out} ({len(found):,} runs)")


if __name__ == "__main__":
    main()
