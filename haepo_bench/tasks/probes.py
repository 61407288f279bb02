"""Probe sets: a task's frozen trajectories of all kinds of return, which policies are asked about.

A policy that is aligned with the task's own reward makes the better of them likelier. Sets are files beside this one,
one per task version, made by `tools/probe_sets.py`; a task without a file has none.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from haepo_bench.files import open_regular
from haepo_bench.tasks.base import Array, Task

#: Each task's, below this folder; what a run reads belongs to its identity (suite/closure.py).
DATA = "probe_sets/{probe_name}.npz"
FOLDER = (Path(__file__).parent / DATA).parent


@dataclass(frozen=True)
class ProbeSet:
    """Trajectories, one after the other; rows are steps.

    Args:
        observations: [row, feature] float32.
        actions: [row, *action].
        lengths: [trajectory] steps.
        returns: [trajectory] undiscounted, in the task's own rewards.
    """

    observations: Array
    actions: Array
    lengths: Array
    returns: Array

    @property
    def starts(self) -> Array:
        """[trajectory] the first row of each."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]])


def probe_file(task: Task) -> Path:
    """Where the probe set of a task's version stands, if there is one."""
    return FOLDER / Path(DATA.format(probe_name=task.probe_name)).name


def probe_set(task: Task) -> ProbeSet | None:
    """The task's frozen trajectories; None where it has none."""
    file = probe_file(task)
    return _load(file) if file.is_file() else None


@cache
def _load(file: Path) -> ProbeSet:
    with open_regular(file) as content, np.load(content) as arrays:
        observations = arrays["observations"].astype(np.float32)
        return ProbeSet(observations, arrays["actions"], arrays["lengths"], arrays["returns"])
