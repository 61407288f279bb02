"""`haepo-bench run --until-decided`: runs what `search/until_decided.py` proposes."""

import time
from typing import TYPE_CHECKING

from haepo_bench.terminal import console, echo
from haepo_bench.wording import duration, many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haepo_bench.execution.observing import Observer
    from haepo_bench.execution.session import Options, Outcome
    from haepo_bench.results.store import Store
    from haepo_bench.search.until_decided import State, UntilDecided


def run_until_decided(
    search: "UntilDecided", store: "Store", options: "Options", observers: "Sequence[Observer]" = ()
) -> "Outcome":
    """Runs proposals until there is none, and says what was decided; observers hear of their runs."""
    from dataclasses import replace

    from haepo_bench.execution.session import run_plan

    begun = time.monotonic()
    while (plan := search.next()) is not None:
        if not options.quiet:
            names = dict.fromkeys(cell.algorithm for cell in plan.cells)
            echo(f"{many(plan.runs, 'run')} next: {', '.join(names)}; {_so_far(search.states)}", err=True)
        left = None if options.max_hours is None else options.max_hours - (time.monotonic() - begun) / 3600
        # What is proposed has failed before only where it is to be run again.
        outcome = run_plan(plan, store, replace(options, retry_failed=True, max_hours=left), observers=observers)
        if outcome.signalled or (options.fail_fast and outcome.failed):
            return outcome
        if outcome.finished + outcome.failed < outcome.asked:  # proposing again what did not end leads nowhere
            return outcome
    # Nothing is left to run: writes the plan, and says what became of the runs.
    outcome = run_plan(search.taken, store, replace(options, retry_failed=False, quiet=True))
    for line in verdict_lines(search.states):
        echo(line)
    return outcome


def print_cost(search: "UntilDecided", store: "Store") -> None:
    """What deciding may cost: the runs that come next, and all that may come."""
    from haepo_bench.execution.estimate import total_seconds
    from haepo_bench.execution.session import forecast
    from haepo_bench.execution.summary import print_forecast

    plan = search.next()
    for line in verdict_lines(search.states):
        echo(line)
    if plan is None:
        echo("nothing is left to run")
        return
    print_forecast(plan, forecast(plan, store, retry_failed=search.retry_failed), console())
    whole = forecast(search.at_most(), store, retry_failed=search.retry_failed)
    runs = sum(len(seeds) for _, seeds in whole.survey.missing)
    took = duration(total_seconds(whole.jobs, search.plan.execution.workers))
    echo(f"If nothing is decided before {search.most} seeds: {many(runs, 'run')}, roughly {took}.")


def verdict_lines(states: "list[State]") -> list[str]:
    """One line per verdict."""
    return [f"{state.claim}, {state.variant}: {_verdict(state)}" for state in states]


def _verdict(state: "State") -> str:
    if state.verdict == "not assessable":
        return f"not assessable: {state.closed}"
    so_far = f"evidence {state.evidence:.3g} : 1, needed {state.needed:.3g} : 1"
    if state.verdict == "undecided":
        why = f"; given up: {state.closed}" if state.closed else ""
        return f"undecided after {many(state.pairs, 'seed')}, {so_far}{why}"
    return f"{state.verdict} after {many(state.pairs, 'seed')}, {so_far}"


def _so_far(states: "list[State]") -> str:
    if not states:
        return "the first seeds of every algorithm"
    decided = sum(state.closed == "decided" for state in states)
    return f"{decided} of {many(len(states), 'verdict')} decided, {sum(not state.closed for state in states)} open"
