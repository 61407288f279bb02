"""The charts of a report, each described once from the document for the page and the figures alike."""

from collections.abc import Sequence
from dataclasses import replace

from haepo_bench.report.charts.description import (
    ChartAlgorithm,
    ChartAxis,
    ChartLine,
    IntervalChart,
    IntervalPanel,
    IntervalRow,
    LineChart,
    LinePanel,
)
from haepo_bench.report.document import AlgorithmResult, SuiteResult, TaskResult
from haepo_bench.report.document_numbers import FEWEST_SEEDS, MeanEstimate
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables.across import STATISTIC_TITLES
from haepo_bench.report.tables.overoptimisation import DISTANCE, GOLD, ORDER_NOTE, PROXY, divergence_notes, optimised
from haepo_bench.report.tables.per_task import (
    Footnotes,
    column_heading,
    diagnostic_decimals,
    heading,
    kind,
    return_decimals,
    seeds_cell,
)

ENV_STEPS = ChartAxis(
    "env_steps", "training env steps per seed", "training env steps", "Env steps", 0, from_zero=True, log=True
)
WALL_SECONDS = ChartAxis(
    "wall_seconds",
    "training seconds per seed (wall clock; its share of its job)",
    "training seconds",
    "Wall seconds",
    from_zero=True,
    log=True,
)
CPU_SECONDS = ChartAxis(
    "cpu_seconds", "CPU seconds of training per seed", "CPU seconds", "CPU seconds", from_zero=True, log=True
)
SCORE = ChartAxis("score", "score (0: random, 1: solved)", "score", "Score", 3, (0.0, 1.0), (0.0, 1.0))
RETURN = ChartAxis("eval_return", "evaluation return", "return", "Return")

_SQRT_KL = ChartAxis("sqrt_kl", DISTANCE, DISTANCE, "√KL", 2, from_zero=True)
_GOLD = ChartAxis("gold", GOLD, GOLD, "Gold")
_PROXY = ChartAxis("proxy", PROXY, PROXY, "Proxy")
_THRESHOLD = ChartAxis("threshold", "final score τ (0: random, 1: solved)", "final score τ", "Score", 2)
_SHARE = ChartAxis(
    "share", "share of runs with a final score above τ", "share of runs above τ", "Share", 3, limits=(0.0, 1.0)
)

#: Measures of the end of training: of scores those with limits, of returns the last.
MEASURES = (
    ChartAxis(
        "final_score",
        "final score, sampled policy (0: random, 1: solved)",
        "final score",
        "Final score",
        2,
        (0.0, 1.0),
        (0.0, 1.0),
    ),
    ChartAxis(
        "final_score_greedy",
        "final score, greedy policy (0: random, 1: solved)",
        "greedy score",
        "Greedy",
        2,
        (0.0, 1.0),
        (0.0, 1.0),
    ),
    ChartAxis(
        "area",
        "area under the score curve (1: solved at once)",
        "area under the curve",
        "Area",
        2,
        (0.0, 1.0),
        (0.0, 1.0),
    ),
    ChartAxis("final_return", "final return, sampled policy", "final return", "Final return"),
)

_BAR_NOTE = f"Bar: 95 % interval, which decides nothing (none below {FEWEST_SEEDS} seeds)."
_SEEDS_NOTE = f"Marker: mean over seeds. {_BAR_NOTE} Thin strokes: single seeds."


def learning_curves(task: TaskResult, styles: Styles) -> LineChart | None:
    """All algorithms on a task; None where no run has a result."""
    results = _with_curves([task])
    if not results:
        return None
    footnotes = Footnotes(results)
    return LineChart(
        title=f"Learning curves on {task.task}",
        algorithms=_algorithms(results, styles, footnotes, seeds=True),
        panels=(_curve_panel(task),),
        notes=(band_note(results), *footnotes.lines),
    )


def overview(suite: SuiteResult, styles: Styles) -> LineChart:
    """The learning curves of all tasks, a small panel each."""
    tasks = [task for task in suite.tasks if _with_curves([task])]
    results = _with_curves(tasks)
    footnotes = Footnotes(results)
    return LineChart(
        title=f"Learning curves of all tasks of {suite.suite}",
        algorithms=_algorithms(results, styles, footnotes, seeds=False),
        panels=tuple(replace(_curve_panel(task), title=task.task) for task in tasks),
        notes=(band_note(results), seed_counts(results), *footnotes.lines),
    )


def overoptimisation(task: TaskResult, styles: Styles) -> LineChart | None:
    """Gold and proxy reward against √KL to the initial policy; None where no algorithm has them."""
    found = optimised(task)
    if not found:
        return None
    results = [result for result, _ in found]
    footnotes = Footnotes(results)
    lines = [
        ChartLine(
            result.algorithm,
            x={"sqrt_kl": own.sqrt_kl, "env_steps": result.curve.env_steps if result.curve else []},
            y={"gold": own.gold, "proxy": own.proxy},
        )
        for result, own in found
    ]
    gold = replace(_GOLD, decimals=return_decimals([own.end.gold for _, own in found]))
    proxy = replace(_PROXY, decimals=return_decimals([own.end.proxy for _, own in found]))
    return LineChart(
        title=f"Gold and proxy reward by distance from the initial policy on {task.task}",
        algorithms=_algorithms(results, styles, footnotes, seeds=True),
        panels=(LinePanel(heading(task), (_SQRT_KL, ENV_STEPS), (gold, proxy), tuple(lines)),),
        notes=(f"{band_note(results)} {ORDER_NOTE}", *divergence_notes(found), *footnotes.lines),
        end_labels=False,
    )


def performance_profiles(suite: SuiteResult, styles: Styles) -> LineChart | None:
    """All algorithms of the basis over its tasks; None where there are none."""
    if suite.basis is None or not suite.profiles:
        return None
    every = {result.algorithm: result for task in suite.tasks for result in task.algorithms}
    results = [every[profile.algorithm] for profile in suite.profiles]
    counted = [
        result
        for task in suite.tasks
        if task.task in suite.basis.tasks
        for result in task.algorithms
        if result.algorithm in suite.basis.algorithms
    ]
    footnotes = Footnotes(results)
    return LineChart(
        title=f"Performance profiles of {suite.suite}: the share of runs whose final score is above each threshold",
        algorithms=tuple(
            replace(each, counted=f"{profile.runs.shown}/{profile.runs.planned} runs")
            for each, profile in zip(_algorithms(results, styles, footnotes, seeds=False), suite.profiles, strict=True)
        ),
        panels=(
            LinePanel(
                f"Performance profiles: {suite.suite}",
                (_THRESHOLD,),
                (_SHARE,),
                tuple(
                    ChartLine(profile.algorithm, {"threshold": profile.thresholds}, {"share": profile.band})
                    for profile in suite.profiles
                ),
            ),
        ),
        notes=(
            "Share of all runs whose final score is above the threshold, tasks weighted by family. Band: pointwise "
            "95 % interval (Wilson's, combined over tasks).",
            seed_counts(counted),
            *footnotes.lines,
        ),
        end_labels=False,
    )


def end_of_training(task: TaskResult, styles: Styles) -> IntervalChart | None:
    """A task's measures, a panel each; None where no run has a result."""
    panels = [_measure_panel(task, axis) for axis in MEASURES]
    panels = [replace(panel, title=panel.axis.button) for panel in panels if panel.rows]
    if not panels:
        return None
    shown = {row.algorithm for panel in panels for row in panel.rows}
    results = [result for result in task.algorithms if result.algorithm in shown]
    footnotes = Footnotes(results)
    return IntervalChart(
        title=f"Results at the end of training on {task.task}",
        algorithms=_algorithms(results, styles, footnotes, seeds=True),
        panels=tuple(panels),
        notes=(
            f"{_SEEDS_NOTE} n/N: seeds with a result of those asked for.",
            *footnotes.lines,
        ),
    )


def final_results(suite: SuiteResult, styles: Styles) -> IntervalChart:
    """The final score of every algorithm on every task, a panel each; the final return where there is no score."""
    tasks = [task for task in suite.tasks if _with_curves([task])]
    results = [result for task in tasks for result in task.algorithms]
    footnotes = Footnotes(results)
    return IntervalChart(
        title=f"Final results on all tasks of {suite.suite}, with intervals over seeds",
        algorithms=_algorithms(results, styles, footnotes, seeds=False),
        panels=tuple(_measure_panel(task, MEASURES[0 if task.references else -1]) for task in tasks),
        notes=(
            f"Sampled policy at the end of training. {_SEEDS_NOTE}",
            seed_counts(results),
            *footnotes.lines,
        ),
    )


def aggregates(suite: SuiteResult, styles: Styles) -> IntervalChart | None:
    """The statistics over all tasks, a panel each; None without a basis."""
    if not suite.aggregates:
        return None
    every = {result.algorithm: result for task in suite.tasks for result in task.algorithms}
    results = [every[value.algorithm] for value in suite.aggregates[0].values]
    footnotes = Footnotes(results)
    panels = []
    for aggregate in suite.aggregates:
        title = STATISTIC_TITLES[aggregate.statistic]
        short = title.split(" (")[0].split(":")[0]
        rows = [
            IntervalRow(v.algorithm, v.value, v.low, v.high, counted=f"{v.runs.shown}/{v.runs.planned}")
            for v in aggregate.values
        ]
        axis = ChartAxis(aggregate.statistic, title, short, short, 2, limits=(0.0, 1.0))
        panels.append(IntervalPanel(short, axis, tuple(rows)))
    return IntervalChart(
        title=f"Aggregates over all tasks of {suite.suite}",
        algorithms=_algorithms(results, styles, footnotes, seeds=False),
        panels=tuple(panels),
        notes=(
            "Marker: the value. Bar: 95 % interval over seeds on these tasks. n/N: runs with a result of those asked "
            "for.",
            *footnotes.lines,
        ),
    )


def diagnostics(task: TaskResult, styles: Styles) -> IntervalChart | None:
    """Every diagnostic at the end of training that any algorithm of the task has, a panel each; None without any."""
    results = [result for result in task.algorithms if result.diagnostics]
    if not task.diagnostic_columns:
        return None
    footnotes = Footnotes(results)
    panels = []
    for column in task.diagnostic_columns:
        title = column_heading(column)
        axis = ChartAxis(column.name, title, title, title, diagnostic_decimals(column, results))
        rows = [_row(result, estimate) for result in results if (estimate := result.diagnostics.get(column.name))]
        panels.append(IntervalPanel(title, axis, tuple(row for row in rows if row.mean is not None)))
    return IntervalChart(
        title=f"{task.task}: diagnostics at the end of training",
        algorithms=_algorithms(results, styles, footnotes, seeds=True),
        panels=tuple(panels),
        notes=(
            f"Diagnostics at the end of training. Marker: mean over the seeds that are done. {_BAR_NOTE}",
            seed_counts(results),
            *footnotes.lines,
        ),
    )


def band_note(results: Sequence[AlgorithmResult]) -> str:
    """What lines and bands over seeds are."""
    counts = [len(result.seeds.shown) for result in results]
    if max(counts, default=0) == 1:
        return "Sampled policy. One seed each: no interval can be drawn."
    few = f"Dots: single seeds, where there are fewer than {FEWEST_SEEDS}." if min(counts) < FEWEST_SEEDS else ""
    band = (
        "Band: 95 % t interval at each evaluation point within what is possible; it decides nothing, and does not "
        "allow for a collapse that no seed has shown."
    )
    parts = ["Sampled policy. Line: mean over seeds.", band if max(counts) >= FEWEST_SEEDS else "", few]
    return " ".join(filter(None, parts))


def seed_counts(results: Sequence[AlgorithmResult]) -> str:
    """On how many seeds a chart's results rest, fewest and most."""
    counts = [len(result.seeds.shown) for result in results], [len(result.seeds.planned) for result in results]
    shown, planned = (f"{min(own)}" if min(own) == max(own) else f"{min(own)} to {max(own)}" for own in counts)
    asked = "all that were asked for" if counts[0] == counts[1] else f"of {planned} asked for"
    return f"Seeds with a result, for each algorithm on each task: {shown}, {asked}."


def _with_curves(tasks: Sequence[TaskResult]) -> list[AlgorithmResult]:
    return [result for task in tasks for result in task.algorithms if result.curve]


def _algorithms(
    results: Sequence[AlgorithmResult], styles: Styles, footnotes: Footnotes, *, seeds: bool
) -> tuple[ChartAlgorithm, ...]:
    """The legend, each name once; with `seeds` on how many each rests, which differs between tasks."""
    return tuple(
        ChartAlgorithm(
            name,
            styles.of(name),
            footnotes.marker(result),
            kind(result),
            f"{len(result.seeds.shown)}/{len(result.seeds.planned)} seeds" if seeds else "",
        )
        for name, result in {result.algorithm: result for result in results}.items()
    )


def _curve_panel(task: TaskResult) -> LinePanel:
    lines = []
    for result in task.algorithms:
        curve = result.curve
        if curve is None:
            continue
        times: dict[str, Sequence[float | None]] = {
            "env_steps": curve.env_steps,
            "wall_seconds": curve.wall_seconds,
            "cpu_seconds": curve.cpu_seconds,
        }
        bands = {"score": curve.score, "eval_return": curve.eval_return}
        lines.append(
            ChartLine(
                result.algorithm,
                x={key: values for key, values in times.items() if any(value is not None for value in values)},
                y={key: band for key, band in bands.items() if band is not None},
                result=result,
            )
        )
    returns = replace(RETURN, decimals=return_decimals([r.final_return for r in task.algorithms if r.curve]))
    return LinePanel(
        heading(task),
        tuple(axis for axis in (ENV_STEPS, WALL_SECONDS, CPU_SECONDS) if any(axis.key in line.x for line in lines)),
        tuple(axis for axis in (SCORE, returns) if any(axis.key in line.y for line in lines)),
        tuple(lines),
    )


def _measure_panel(task: TaskResult, axis: ChartAxis) -> IntervalPanel:
    """The algorithms that have the measure, which is the axis's key."""
    estimates: list[tuple[AlgorithmResult, MeanEstimate | None]] = [(r, getattr(r, axis.key)) for r in task.algorithms]
    shown = [(result, estimate) for result, estimate in estimates if estimate and estimate.mean is not None]
    rows = []
    for result, estimate in shown:
        seeds = [value for run in result.runs if (value := run.measures[axis.key]) is not None]
        rows.append(replace(_row(result, estimate), seeds=tuple(seeds)))
    if axis.decimals is None:
        axis = replace(axis, decimals=return_decimals([estimate for _, estimate in shown]))
    return IntervalPanel(task.task, axis, tuple(rows))


def _row(result: AlgorithmResult, estimate: MeanEstimate) -> IntervalRow:
    return IntervalRow(result.algorithm, estimate.mean, estimate.low, estimate.high, counted=seeds_cell(result).text)
