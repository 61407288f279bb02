"""What a search costs, by algorithm: `tune --dry-run`."""

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from haepo_bench.cli.layout import columns
from haepo_bench.terminal import echo
from haepo_bench.wording import duration, many

if TYPE_CHECKING:
    from haepo_bench.results.searches import DeclaredSearch
    from haepo_bench.search.tuning import Tuning
    from haepo_bench.suite.plan import Plan


class SearchCost(NamedTuple):
    """Of one algorithm.

    Args:
        searched: how many hyper-parameters.
        configurations: over all replicates.
        runs: at most, those that have ended included.
        ended: of these.
        steps: env steps of all runs.
        seconds: that the runs which have not ended take one worker.
        measured: whether that comes from stored runs alone.
    """

    algorithm: str
    searched: int
    configurations: int
    runs: int
    ended: int
    steps: int
    seconds: float
    measured: bool


def extent(search: "DeclaredSearch") -> str:
    """How much is searched, in words."""
    return (
        f"{many(len(search.replicates), 'replicate')} of {many(search.trials, 'configuration')} on "
        f"{many(search.seeds, 'tuning seed')} each, searched for {search.measure}"
    )


def costs(tuning: "Tuning", *, over: bool) -> list[SearchCost]:
    """What each algorithm costs, after `Tuning.next`.

    Args:
        over: whether nothing is left to run: fewer runs were needed than there are at most.
    """
    from haepo_bench.execution.survey import seconds_of
    from haepo_bench.results.identity import CellKey
    from haepo_bench.suite.shards import STEPS_A_SECOND_BATCHED, STEPS_A_SECOND_SINGLE

    taken: dict[CellKey, list[float]] = defaultdict(list)
    ended: dict[CellKey, int] = defaultdict(int)
    for cell in () if tuning.selection is None else tuning.selection.cells:
        key = CellKey(cell.task, tuning.owner(cell.algorithm))
        ended[key] += len(cell.runs)
        taken[key] += [seconds for run in cell.runs if (seconds := seconds_of(run.record)) is not None]
    cells = {cell.key: cell for cell in tuning.plan.cells}
    at_most = tuning.at_most()
    found = []
    for name, spaces in tuning.search.spaces.items():
        runs = {key: n for key, n in at_most.items() if key.algorithm == name}
        seconds, measured = 0.0, True
        for key, n in runs.items():
            own = taken[key]
            measured = measured and bool(own)
            rate = STEPS_A_SECOND_BATCHED if cells[key].batches_seeds else STEPS_A_SECOND_SINGLE
            each = sum(own) / len(own) if own else cells[key].budget / rate
            seconds += 0.0 if over else each * max(0, n - ended[key])
        configurations = tuning.search.trials * len(tuning.replicates_of(name)) if spaces else 0
        found.append(
            SearchCost(
                name,
                len(spaces),
                configurations,
                sum(runs.values()),
                sum(ended[key] for key in runs),
                sum(n * cells[key].budget for key, n in runs.items()),
                seconds,
                measured,
            )
        )
    return found


def print_cost(tuning: "Tuning", left: "Plan | None") -> None:
    """The costs as a table, and what is searched where.

    Args:
        left: what `Tuning.next` proposed.
    """
    from haepo_bench.objectives.spaces import Space

    search, workers = tuning.search, tuning.plan.execution.workers
    part = f", of which shard {tuning.shard} makes its part" if tuning.shard is not None else ""
    echo(f"{extent(search)}{part}")
    for name, spaces in search.spaces.items():
        echo(f"  {name}: {'; '.join(f'{key} {Space.of(each)}' for key, each in spaces.items()) or 'nothing to search'}")
    each_cost = costs(tuning, over=left is None)
    rows = [
        ("algorithm", "configurations", "runs at most", "ended", "env steps", f"time left on {many(workers, 'worker')}")
    ]
    for cost in each_cost:
        time = f"{'~' if cost.measured else '?'} {duration(cost.seconds / workers)}" if cost.seconds else ""
        rows.append(
            (cost.algorithm, f"{cost.configurations:,}", f"{cost.runs:,}", f"{cost.ended:,}", f"{cost.steps:,}", time)
        )
    total = "nothing is left to run" if left is None else duration(sum(cost.seconds for cost in each_cost) / workers)
    runs, ended, steps = (sum(getattr(cost, name) for cost in each_cost) for name in ("runs", "ended", "steps"))
    rows.append(("all", "", f"{runs:,}", f"{ended:,}", f"{steps:,}", total))
    echo(columns(rows))
    if left is not None and not all(cost.measured for cost in each_cost):
        echo("Times marked ? are guesses from typical speeds; those marked ~ come from stored runs.")
