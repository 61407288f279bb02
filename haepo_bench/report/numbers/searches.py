"""What the searches of a suite are worth: best of m configurations, sensitivity to tuning, and all that was tried."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.objectives.spaces import Space
from haepo_bench.report.document_numbers import FEWEST_SEEDS, MeanEstimate
from haepo_bench.report.document_searches import (
    BestOf,
    EdgeValue,
    Importance,
    NoAssay,
    ParameterImportance,
    SearchedAlgorithm,
    SearchSummary,
    TrialPoint,
)
from haepo_bench.report.numbers.estimates import estimate_of
from haepo_bench.results.searches import Trial, tuning_seeds
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.statistics.gaffke import mean_within_bounds
from haepo_bench.statistics.intervals import MeanInterval, corrected_mean_interval
from haepo_bench.statistics.searches import PERCENTILES, best_of_cross_fitted, normalised, sensitivity
from haepo_bench.text import plain
from haepo_bench.verdicts.choosing import Chooser, TrialScores
from haepo_bench.verdicts.declared import Range, ranges
from haepo_bench.verdicts.measured import number

Array = NDArray[Any]


def searches(selection: Selection, *, importance: bool = False) -> SearchSummary | None:
    """The searches of a selection of a search's store; None of any other.

    Args:
        importance: also which hyper-parameters matter, which takes seconds and scikit-learn.
    """
    if selection.search is None:
        return None
    chooser, search = Chooser(selection), selection.search
    found = {name: chooser.scores(name) for name in chooser.searched}
    percentiles = _percentiles(found.values())
    cells = {(cell.task, cell.algorithm): cell for cell in selection.cells}
    bounds = ranges(selection) if search.measure in ("area", "final_score") else {}
    return SearchSummary(
        measure=search.measure,
        trials=search.trials,
        seeds=search.seeds,
        replicates=len(search.replicates),
        tasks=[plain(task) for task in dict.fromkeys(task for own in found.values() for task in own.tasks)],
        algorithms=[
            _algorithm(chooser, own, cells, percentiles, bounds, importance=importance) for own in found.values()
        ],
    )


def _percentiles(found: Any) -> dict[str, tuple[float, float]]:
    """{task: the 5th and the 95th percentile of the means of all trials of all algorithms}."""
    means: dict[str, list[float]] = {}
    for own in found:
        for place, task in enumerate(own.tasks):
            values = own.scores[:, :, place].mean(axis=-1).ravel()
            means.setdefault(task, []).extend(values[np.isfinite(values)].tolist())
    ends = {task: np.percentile(values, PERCENTILES) for task, values in means.items() if values}
    return {task: (float(low), float(high)) for task, (low, high) in ends.items()}


def _algorithm(
    chooser: Chooser,
    own: TrialScores,
    cells: Mapping[tuple[str, str], SelectedCell],
    percentiles: Mapping[str, tuple[float, float]],
    bounds: Mapping[str, Range],
    *,
    importance: bool,
) -> SearchedAlgorithm:
    # Replicates whose searches have ended. A run that failed has a score, if only -inf.
    whole: Array = np.asarray(~np.isnan(own.scores).any(axis=(1, 2, 3)) & bool(own.tasks))
    ended = own.scores[whole]  # [replicate, trial, task, seed]
    means = np.einsum("rkes,e->rks", ended, own.weights)
    best = np.array([best_of_cross_fitted(each) for each in means]).reshape(-1, own.scores.shape[1])
    seconds = _cpu_seconds(chooser, own, cells)
    known = [bounds[task] for task in own.tasks if task in bounds]
    low, high = -np.inf, np.inf
    if known and len(known) == len(own.tasks):
        low, high = (float(own.weights @ [end[side] for end in known]) for side in (0, 1))
    ends = [percentiles.get(task, (np.nan, np.nan)) for task in own.tasks]
    lows, highs = np.array(ends).reshape(-1, 2).T
    phi = np.array([sensitivity(normalised(each, lows, highs), own.weights) for each in ended])
    return SearchedAlgorithm(
        algorithm=plain(own.algorithm),
        replicates=int(whole.sum()),
        failed=int(own.failed.sum()),
        best_of=[
            BestOf(
                trials=m + 1,
                score=_estimate(best[:, m], lambda values: mean_within_bounds(values, low, high)),
                cpu_seconds=None if seconds is None else (m + 1) * seconds,
            )
            for m in range(best.shape[1])
        ],
        sensitivity=_estimate(phi, sensitivity_interval),
        edges=_edges(chooser, own, cells),
        no_assay=_no_assay(chooser, own),
        importance=_importance(chooser, own, cells, whole, (lows, highs)) if importance else None,
        trials=_trials(chooser, own, cells),
    )


def _estimate(values: Array, interval: Callable[[Array], MeanInterval]) -> MeanEstimate:
    """values: [replicate]; unknown where one of them is not finite: without it the mean would be that of the others."""
    known = values if np.isfinite(values).all() else np.full(len(values), np.nan)
    return estimate_of(known, interval(known))


def sensitivity_interval(values: Array) -> MeanInterval:
    """values: [replicate]; without ends where they are few or all alike, as for means over seeds."""
    found = corrected_mean_interval(values)
    if len(values) >= FEWEST_SEEDS and np.ptp(values) > 0:
        return found
    return found._replace(low=np.asarray(np.nan), high=np.asarray(np.nan))


def _cpu_seconds(chooser: Chooser, own: TrialScores, cells: Mapping[tuple[str, str], SelectedCell]) -> float | None:
    """CPU seconds of training that one configuration takes, on all tasks and tuning seeds; None where not known."""
    totals = []
    for replicate in chooser.search.replicates:
        for number_ in range(chooser.search.trials):
            runs = _runs(chooser, own, cells, Trial(own.algorithm, replicate, number_))
            costs = [run.get("cpu_seconds") for run in runs]
            known = [cost for cost in costs if cost is not None]
            if costs and len(known) == len(costs):
                totals.append(sum(known))
    return float(np.mean(totals)) if totals else None


def _runs(
    chooser: Chooser, own: TrialScores, cells: Mapping[tuple[str, str], SelectedCell], trial: Trial
) -> list[Mapping[str, Any]]:
    """The costs of a trial's runs on its tuning seeds."""
    seeds = set(tuning_seeds(trial.replicate, chooser.search.seeds))
    found = [cells[task, trial.name] for task in own.tasks if (task, trial.name) in cells]
    return [run.record.cost for cell in found for run in cell.runs if run.record.seed in seeds]


def _parameters(
    own: TrialScores, cells: Mapping[tuple[str, str], SelectedCell], trial: Trial
) -> Mapping[str, Any] | None:
    """A trial's hyper-parameters, from any record of it."""
    found = (cells[task, trial.name].sample for task in own.tasks if (task, trial.name) in cells)
    sample = next((each for each in found if each is not None), None)
    return None if sample is None else sample.parameters


def _edges(chooser: Chooser, own: TrialScores, cells: Mapping[tuple[str, str], SelectedCell]) -> list[EdgeValue]:
    chosen = [chooser.best(own.algorithm, replicate, own.tasks) for replicate in chooser.search.replicates]
    settings = [_parameters(own, cells, choice.trial) for choice in chosen if choice is not None]
    found = []
    for key, space in chooser.search.spaces_of(own.algorithm).items():
        # Of stored values those that the space holds: others were not chosen from it.
        values = [each[key] for each in settings if each is not None and key in each and space.holds(each[key])]
        ends = [space.edge(value) for value in values]
        if any(ends):
            found.append(EdgeValue(parameter=key, low=ends.count("low"), high=ends.count("high")))
    return found


def _importance(
    chooser: Chooser,
    own: TrialScores,
    cells: Mapping[tuple[str, str], SelectedCell],
    whole: Array,
    ends: tuple[Array, Array],
) -> Importance:
    from haepo_bench.statistics.importance import dimension, importances, retained

    spaces = chooser.search.spaces_of(own.algorithm)
    settings, rows = [], []
    for place, replicate in enumerate(chooser.search.replicates):
        for trial in range(chooser.search.trials if whole[place] else 0):
            parameters = _parameters(own, cells, Trial(own.algorithm, replicate, trial))
            units = _units(spaces, parameters or {})
            # A forest cannot learn from -inf.
            if units is not None and np.isfinite(own.scores[place, trial]).all():
                settings.append(units)
                rows.append(own.scores[place, trial])
    shape = (len(settings), len(own.tasks), own.scores.shape[3])
    scores = normalised(np.array(rows).reshape(shape), *ends)
    telling = ~np.isnan(scores).any(axis=(0, 2))  # tasks on which trials differ
    if not len(settings) or not telling.any():
        nothing = [ParameterImportance(parameter=key, importance=None) for key in spaces]
        return Importance(explained=None, parameters=nothing, retained=[None] * (len(spaces) + 1), dimension=None)
    scores, weights = scores[:, telling], own.weights[telling] / own.weights[telling].sum()
    found = [importances(np.array(settings), scores[:, task].mean(axis=-1)) for task in range(scores.shape[1])]
    each = weights @ np.array([own_importances for _, own_importances in found])
    shares = retained(np.array(settings), scores, weights)
    return Importance(
        explained=number(float(weights @ [explained for explained, _ in found])),
        parameters=[
            ParameterImportance(parameter=key, importance=number(float(value)))
            for key, value in zip(spaces, each, strict=True)
        ],
        retained=[number(float(share)) for share in shares],
        dimension=dimension(shares),
    )


def _units(spaces: Mapping[str, Space], parameters: Mapping[str, Any]) -> list[float] | None:
    """A trial's hyper-parameters as numbers; None where a stored one is missing or not in its space."""
    if any(key not in parameters or not space.holds(parameters[key]) for key, space in spaces.items()):
        return None
    found = [space.unit(parameters[key]) for key, space in spaces.items()]
    return found if np.isfinite(found).all() else None


def _no_assay(chooser: Chooser, own: TrialScores) -> list[NoAssay]:
    left_out = Counter(
        task for replicate in chooser.search.replicates for task in chooser.no_assay(own.algorithm, replicate)
    )
    return [NoAssay(task=plain(task), replicates=left_out[task]) for task in own.tasks if left_out[task]]


def _plain(value: Any) -> float | int | str | bool | None:
    return value if isinstance(value, bool | int | float | str) else None


def _trials(chooser: Chooser, own: TrialScores, cells: Mapping[tuple[str, str], SelectedCell]) -> list[TrialPoint]:
    keys: Sequence[str] = list(chooser.search.spaces[own.algorithm])
    points = []
    for place, replicate in enumerate(chooser.search.replicates):
        for trial in range(chooser.search.trials):
            parameters = _parameters(own, cells, Trial(own.algorithm, replicate, trial))
            if parameters is None:
                continue
            scores = own.scores[place, trial]
            ended = bool(own.tasks) and not np.isnan(scores).any()
            points.append(
                TrialPoint(
                    replicate=replicate,
                    number=trial,
                    parameters={key: _plain(parameters.get(key)) for key in keys},
                    ended=ended,
                    score=number(own.weights @ scores.mean(axis=-1)) if ended else None,
                )
            )
    return points
