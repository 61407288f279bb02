"""The default settings beside a search: stored under their algorithm's name, which in reports is what was chosen."""

from dataclasses import replace

from haepo_bench.results.searches import default_name
from haepo_bench.results.selection import SelectedCell, Selection


def defaults_named(selection: Selection) -> Selection:
    """Every run of a selection, the default settings beside a search by the name that they have in reports."""
    spaces = {} if selection.search is None else selection.search.spaces
    cells = [_named_default(cell) if spaces.get(cell.algorithm) else cell for cell in selection.cells]
    return replace(selection, cells=tuple(cells))


def _named_default(cell: SelectedCell) -> SelectedCell:
    name = default_name(cell.algorithm)
    runs, unfinished = (
        tuple(run.called(name, run.record.seed) for run in part) for part in (cell.runs, cell.unfinished)
    )
    return replace(cell, algorithm=name, runs=runs, unfinished=unfinished)
