"""What the runs say over all tasks: aggregates side by side, performance profiles, probabilities of improvement.

Every algorithm is judged on the same tasks, and the document says on which, so that a task or an algorithm that lacks
runs moves nobody's number in silence.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document import Aggregate, AggregateValue, Basis, Improvement, LeftOut, Profile, WithoutTask
from haepo_bench.report.document_numbers import CONFIDENCE, Band, MissingRange, RunCount
from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.statistics.aggregates import (
    cvar,
    cvar_mean_interval,
    interquartile_mean,
    interquartile_mean_interval,
    leave_one_task_out,
    optimality_gap,
    optimality_gap_interval,
    weighted_mean,
    weighted_mean_interval,
)
from haepo_bench.statistics.bootstrap import rectangle
from haepo_bench.statistics.comparisons import probability_of_improvement
from haepo_bench.statistics.intervals import Interval
from haepo_bench.statistics.profiles import performance_profile
from haepo_bench.statistics.rates import rate_combination_interval
from haepo_bench.text import plain
from haepo_bench.verdicts.assays import end_of
from haepo_bench.verdicts.measured import (
    CONTROL_REASON,
    Extremes,
    Measured,
    Table,
    family,
    filled,
    is_control,
    number,
    numbers,
    weights_of,
)

Array = NDArray[Any]

#: An algorithm with results on fewer of the tasks that have references is left out, rather than the tasks.
ENOUGH_TASKS = 0.5
#: The ends of the scale, in the report's words.
ENDS = {"floor": "at the random policy's score", "ceiling": "at the ceiling"}
#: Of the thresholds of a profile.
STEP = 0.02


class Statistic(NamedTuple):
    """A statistic over tasks.

    Args:
        measure: what it is of: values [seed] a task.
        value: values [seed, task], weights [task] -> scalar.
        interval: the same with its interval.
    """

    name: Literal["mean", "iqm", "optimality_gap", "cvar", "collapse_rate"]
    measure: str
    more_is_better: bool
    value: Callable[[Array, Array], Array]
    interval: Callable[[Array, Array], Interval]


def _cvar(scores: Array, weights: Array) -> Array:
    """scores: [seed, task], weights: [task] -> scalar: weighted mean of the tasks' CVaRs."""
    return np.asarray(cvar(scores) @ weights)


def _cvar_interval(scores: Array, weights: Array) -> Interval:
    return cvar_mean_interval(list(scores.T), weights, confidence=CONFIDENCE)


def _rate_interval(happened: Array, weights: Array) -> Interval:
    groups = [column[~np.isnan(column)] > 0 for column in happened.T]
    return rate_combination_interval(groups, weights, confidence=CONFIDENCE)


STATISTICS = (
    Statistic("mean", "final_score", True, weighted_mean, weighted_mean_interval),
    Statistic("iqm", "final_score", True, interquartile_mean, interquartile_mean_interval),
    Statistic("optimality_gap", "final_score", False, optimality_gap, optimality_gap_interval),
    Statistic("cvar", "final_score", True, _cvar, _cvar_interval),
    Statistic("collapse_rate", "collapse", False, weighted_mean, _rate_interval),
)


class Across(NamedTuple):
    """What `SuiteResult` says over all tasks."""

    basis: Basis | None
    aggregates: list[Aggregate]
    profiles: list[Profile]
    improvement: list[Improvement]


def across(table: Table, seen: Extremes, claims: DeclaredClaims | None, controls: Container[str] = ()) -> Across:
    """Over the tasks with references, controls apart, on which every algorithm of the basis has a result."""
    found = _basis(table, controls)
    if found is None:
        return Across(None, [], [], [])
    basis, tasks, algorithms = found
    aggregates = [
        Aggregate(
            statistic=each.name,
            more_is_better=each.more_is_better,
            values=[_aggregate(each, table, algorithm, tasks, seen) for algorithm in algorithms],
        )
        for each in STATISTICS
    ]
    return Across(basis, aggregates, _profiles(table, algorithms, tasks), improvements(table, seen, claims, tasks))


def no_assay(means: Sequence[float]) -> str:
    """Why a task does not separate algorithms: nearly all are at the random policy's score, or have solved it.

    Args:
        means: final score of each algorithm that learns.

    Returns:
        Empty where it may separate them: where a third or more are elsewhere, or there are too few to say.
    """
    found = end_of(means)
    if found is None:
        return ""
    end, there = found
    return f"no assay: {there} of {len(means)} algorithms are {ENDS[end]}"


def _means(table: Table, task: str, controls: Container[str]) -> list[float]:
    """Final scores on a task of the algorithms that learn."""
    own = [each for (at, name), each in table.items() if at == task and name not in controls]
    return [each.estimate("final_score") for each in own if each.has("final_score")]


def _basis(table: Table, controls: Container[str]) -> tuple[Basis, list[str], list[str]] | None:
    """Basis for the document, and the names as the suite has them; None where no task but controls has scores."""
    every, names = (list(dict.fromkeys(key[place] for key in table)) for place in (0, 1))
    scored = [
        task
        for task in every
        if not is_control(task) and any(table[key].has("final_score") for key in table if key[0] == task)
    ]
    if not scored:
        return None
    means = {task: _means(table, task, controls) for task in scored}
    dull = {task: reason for task in scored if (reason := no_assay(means[task]))}
    if len(dull) == len(scored):  # then the report says so, and nothing is better to go by
        dull = {}
    scored = [task for task in scored if task not in dull]
    on = {name: [t for t in scored if (t, name) in table and table[t, name].has("final_score")] for name in names}
    algorithms = [name for name in names if len(on[name]) >= ENOUGH_TASKS * len(scored)]
    tasks = [task for task in scored if all(task in on[name] for name in algorithms)] if algorithms else []
    if not tasks:
        return None
    lacking = {task: [name for name in algorithms if task not in on[name]] for task in scored}

    def why(task: str) -> str:
        if is_control(task):
            return CONTROL_REASON
        if task in dull:
            return dull[task]
        return f"no result of {', '.join(map(plain, lacking[task]))}" if task in scored else "it has no scores"

    out = [LeftOut(name=plain(task), reason=why(task)) for task in every if task not in tasks]
    basis = Basis(
        tasks=[plain(task) for task in tasks],
        algorithms=[plain(name) for name in algorithms],
        tasks_left_out=out,
        algorithms_left_out=[
            LeftOut(name=plain(name), reason=f"results on only {len(on[name])} of {len(scored)} tasks with references")
            for name in names
            if name not in algorithms
        ],
    )
    return basis, tasks, algorithms


def _matrix(columns: Sequence[Array]) -> Array:
    """[seed] a task -> [seed, task], NaN where there is no run."""
    return np.asarray(rectangle([column[None] for column in columns])[0])


def _aggregate(
    statistic: Statistic,
    table: Table,
    algorithm: str,
    tasks: Sequence[str],
    seen: Extremes,
) -> AggregateValue:
    own = [table[task, algorithm] for task in tasks]
    values, weights = _matrix([each.values[statistic.measure] for each in own]), weights_of(tasks)
    interval = statistic.interval(values, weights)
    without = leave_one_task_out(statistic.value, values, [family(task) for task in tasks])
    rest = sorted((float(v), plain(t)) for v, t in zip(without, tasks, strict=True) if np.isfinite(v))
    missing = None
    if any(each.shown < each.planned for each in own):
        keys = [(task, algorithm) for task in tasks]
        ends = []
        for favour in (False, True):
            whole = filled(table, seen, keys, statistic.measure, {algorithm}, favour=favour)
            ends.append(
                float(statistic.value(_matrix([whole[key].values[statistic.measure] for key in keys]), weights))
            )
        missing = MissingRange(lowest=min(ends), highest=max(ends))
    return AggregateValue(
        algorithm=plain(algorithm),
        value=number(interval.estimate),
        low=number(interval.low),
        high=number(interval.high),
        runs=_count(own),
        lowest_without=WithoutTask(task=rest[0][1], value=rest[0][0]) if rest else None,
        highest_without=WithoutTask(task=rest[-1][1], value=rest[-1][0]) if rest else None,
        if_missing=missing,
    )


def _profiles(table: Table, algorithms: Sequence[str], tasks: Sequence[str]) -> list[Profile]:
    own = {name: [table[task, name] for task in tasks] for name in algorithms}
    matrices = {name: _matrix([each.values["final_score"] for each in cells]) for name, cells in own.items()}
    low = min(0.0, *(float(np.nanmin(scores)) for scores in matrices.values()))
    high = max(1.0, *(float(np.nanmax(scores)) for scores in matrices.values()))
    # Far outliers show at the edges: a profile is read between the random policy and a solved task.
    thresholds = np.arange(round(max(low, -1.0) / STEP), round(min(high, 2.0) / STEP) + 1) * STEP
    thresholds = np.round(thresholds, 2)
    profiles = []
    for name, scores in matrices.items():
        share, lower, upper = performance_profile(scores, weights_of(tasks), thresholds, confidence=CONFIDENCE)
        runs = _count(own[name])
        band = Band(mean=numbers(share), low=numbers(lower), high=numbers(upper), n=[runs.shown] * len(thresholds))
        profiles.append(Profile(algorithm=plain(name), thresholds=thresholds.tolist(), band=band, runs=runs))
    return profiles


def improvements(
    table: Table, seen: Extremes, claims: DeclaredClaims | None, tasks: Sequence[str]
) -> list[Improvement]:
    """Of each candidate over each baseline, over those of the tasks on which both have results."""
    if claims is None:
        return []
    found = []
    for candidate in claims.candidates:
        for baseline in claims.baselines:
            for measure in ("final_score", "final_return"):
                own = [
                    task
                    for task in tasks
                    if all((task, name) in table and table[task, name].has(measure) for name in (candidate, baseline))
                ]
                if own:
                    found.append(_improvement(table, seen, candidate, baseline, measure, own))
                    break
    return found


def _improvement(
    table: Table,
    seen: Extremes,
    candidate: str,
    baseline: str,
    measure: Literal["final_score", "final_return"],
    tasks: Sequence[str],
) -> Improvement:
    sides = [[table[task, name] for task in tasks] for name in (candidate, baseline)]

    def probability(table: Table) -> Interval:
        x, y = ([table[task, name].values[measure] for task in tasks] for name in (candidate, baseline))
        return probability_of_improvement(x, y, weights_of(tasks), confidence=CONFIDENCE)

    interval = probability(table)
    lowest = highest = None
    if any(each.shown < each.planned for side in sides for each in side):
        keys = [(task, name) for task in tasks for name in (candidate, baseline)]
        lowest, highest = (
            number(probability(filled(table, seen, keys, measure, {candidate}, favour=favour)).estimate)
            for favour in (False, True)
        )
    return Improvement(
        candidate=plain(candidate),
        baseline=plain(baseline),
        measure=measure,
        tasks=[plain(task) for task in tasks],
        probability=number(interval.estimate),
        low=number(interval.low),
        high=number(interval.high),
        candidate_runs=_count(sides[0]),
        baseline_runs=_count(sides[1]),
        lowest=lowest,
        highest=highest,
    )


def _count(cells: Sequence[Measured]) -> RunCount:
    return RunCount(shown=sum(each.shown for each in cells), planned=sum(each.planned for each in cells))
