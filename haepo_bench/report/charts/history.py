"""How results moved over the versions in one folder, as charts."""

from dataclasses import replace

from haepo_bench.report.charts.building import MEASURES
from haepo_bench.report.charts.description import ChartAlgorithm, ChartAxis, IntervalChart, IntervalPanel, IntervalRow
from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_history import AlgorithmHistory
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables.history import commits, when
from haepo_bench.report.tables.per_task import return_decimals

_AREA_RETURN = ChartAxis("area_return", "mean return over training", "mean return", "Mean return")
_AXES = {axis.key: axis for axis in (*MEASURES, _AREA_RETURN)}


def history_charts(suite: SuiteResult, styles: Styles) -> list[tuple[AlgorithmHistory, IntervalChart]]:
    """For each algorithm on a task that has several versions, a dot per version, oldest first."""
    return [(own, _chart(own, styles)) for own in (suite.history.algorithms if suite.history else [])]


def _chart(own: AlgorithmHistory, styles: Styles) -> IntervalChart:
    panels = [_panel(measure.measure, own) for measure in own.versions[0].measures]
    return IntervalChart(
        title=f"History of {own.algorithm} on {own.task}",
        algorithms=(ChartAlgorithm(own.algorithm, styles.of(own.algorithm)),),
        panels=tuple(panel for panel in panels if panel.rows),
    )


def _panel(name: str, own: AlgorithmHistory) -> IntervalPanel:
    axis, rows, estimates = _AXES[name], [], []
    for version in own.versions:
        measure = next(each for each in version.measures if each.measure == name)
        estimate = measure.estimate
        if estimate.mean is None:
            continue
        estimates.append(estimate)
        rows.append(
            IntervalRow(
                own.algorithm,
                estimate.mean,
                estimate.low,
                estimate.high,
                seeds=tuple(value for value in measure.values if value is not None),
                counted=f"{len(version.seeds)}/{version.planned}",
                label=" · ".join(filter(None, (when(version), commits(version, 7)))),
            )
        )
    if axis.decimals is None:
        axis = replace(axis, decimals=return_decimals(estimates))
    return IntervalPanel(axis.button, axis, tuple(rows))
