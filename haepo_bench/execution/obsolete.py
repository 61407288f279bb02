"""Runs that the same settings had before by other code, and what of that code has changed since."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from haepo_bench.execution.estimate import beginning
from haepo_bench.results.code import changes, read_code
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell


@dataclass(frozen=True)
class Obsolete:
    """Stored runs of a cell's settings by other code.

    Args:
        folder: name of the folder that they lie in.
        runs: how many.
        changed: modules, packages and files that differ from what the cell would execute now; None where nothing says
            what the runs executed, as with those of version 0.1.
    """

    cell: Cell
    folder: str
    runs: int
    changed: tuple[str, ...] | None


def obsolete(cells: Iterable[Cell], store: Store) -> list[Obsolete]:
    """What is stored of some cells by other code."""
    names = sorted(folder.name for folder in store.folders())
    return [found for cell in cells for found in _of_cell(cell, store, names)]


def _of_cell(cell: Cell, store: Store, names: Sequence[str]) -> Iterator[Obsolete]:
    for folder in beginning(names, cell.folder.removesuffix(cell.code_hash[:8])):
        runs = sum(1 for _ in (store.root / folder).glob("seed-*.json"))
        if folder == cell.folder or not runs:
            continue
        before = read_code(store, folder)
        yield Obsolete(cell, folder, runs, None if before is None else tuple(changes(before, cell.code)))
