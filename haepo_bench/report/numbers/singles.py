"""Single runs: their thinned curves, their files, and their hyper-parameters."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.files import list_folder
from haepo_bench.report.document import SeedCurves
from haepo_bench.results.record import RunRecord
from haepo_bench.results.selection import Run
from haepo_bench.text import plain

#: Seeds of an algorithm whose curves are kept, and evaluation points of each.
_MOST_SEEDS, _MOST_PLACES = 20, 41
#: Numbers that all kept curves of a suite may have: some 3 MB of page.
_MOST_NUMBERS = 400_000


def single_seeds(seeds: Sequence[int], returns: NDArray[Any], runs_shown: int) -> SeedCurves:
    """The curves of the first seeds at evenly spread evaluation points.

    Args:
        returns: [seed, point].
        runs_shown: of the suite: the more, the fewer points.
    """
    points = returns.shape[1]
    most = min(_MOST_PLACES, max(2, _MOST_NUMBERS // max(1, runs_shown)))
    places = np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(int))
    kept = returns[:_MOST_SEEDS, places]
    return SeedCurves(
        seeds=list(seeds[:_MOST_SEEDS]),
        places=places.tolist(),
        eval_return=[[float(f"{value:.5g}") if np.isfinite(value) else None for value in row] for row in kept],
    )


class RunFiles:
    """Files of single runs, as far as they are there: each folder of logs is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[PurePosixPath, frozenset[str]] = {}

    def of(self, run: Run) -> dict[str, str]:
        """Record and log, relative to the suite's folder; the log is empty where there is none."""
        log = run.record.provenance.get("log")
        known = plain(log) if isinstance(log, str) else ""
        return {"record": plain(run.path.as_posix()), "log": known if known and self._is_there(known) else ""}

    def _is_there(self, name: str) -> bool:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return False
        if path.parent not in self._listed:
            try:
                self._listed[path.parent] = frozenset(
                    entry.name for entry in list_folder(self._root / path.parent) if entry.is_file()
                )
            except (OSError, ValueError):  # not there, out of reach, or a name that no folder can have
                self._listed[path.parent] = frozenset()
        return path.name in self._listed[path.parent]


def parameters_of(record: RunRecord | None) -> dict[str, str]:
    """Every hyper-parameter as JSON."""
    return {plain(key): plain(json.dumps(value)) for key, value in record.parameters.items()} if record else {}
