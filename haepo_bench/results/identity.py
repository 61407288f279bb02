"""What a cell, one algorithm on one task, is called and identified by."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote


class CellKey(NamedTuple):
    """A cell's name in its suite, whatever its settings and code are."""

    task: str
    algorithm: str

    def __str__(self) -> str:
        return f"{self.algorithm} on {self.task}"


@dataclass(frozen=True)
class CellIdentity:
    """What all runs of a cell share, and no runs of another.

    Args:
        task: task address, such as `gym/CartPole-v1`.
        algorithm: name in the suite, unique there.
        settings_hash: of what is run.
        code_hash: of what runs it.
    """

    task: str
    algorithm: str
    settings_hash: str
    code_hash: str

    @property
    def key(self) -> CellKey:
        """Task and algorithm."""
        return CellKey(self.task, self.algorithm)


def cell_folder(cell: CellIdentity) -> str:
    """Name of the folder that a cell's runs are stored in, inside the suite's folder."""
    return f"{quote(cell.task, safe='')}--{cell.algorithm}--{cell.settings_hash[:8]}-{cell.code_hash[:8]}"
