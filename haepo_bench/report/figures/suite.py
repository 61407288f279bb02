"""Which figures a report has, as PNG and SVG: overview, learning curves, over-optimisation, diagnostics,
intervals, evidence, profiles."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from haepo_bench.report.charts import building as chart_building
from haepo_bench.report.charts.evidence import evidence_chart
from haepo_bench.report.charts.searches import SEARCH_SECONDS, TRIALS, search_budget
from haepo_bench.report.document import SuiteResult
from haepo_bench.report.figures.evidence import evidence_figure
from haepo_bench.report.figures.intervals import diagnostics_figure, results_figure
from haepo_bench.report.figures.lines import line_figure, overview_figure
from haepo_bench.report.figures.searches import tried_figure
from haepo_bench.report.figures.sheet import SavedFigure, drawing, save
from haepo_bench.report.styles import suite_styles

#: Axes against which learning curves have a figure, under what its file's name ends with.
AXES = {"steps": chart_building.ENV_STEPS, "seconds": chart_building.WALL_SECONDS}


class DrawnFigure(NamedTuple):
    """A figure of a suite.

    Args:
        task: whose it is; empty for those of all tasks.
        name: file name without its suffix.
        title: one line of text that says what it shows.
    """

    task: str
    name: str
    title: str
    figure: Figure


def suite_pictures(suite: SuiteResult, *, x_axes: Sequence[str] = tuple(AXES)) -> dict[str, list[SavedFigure]]:
    """Every figure of a suite, under the name of its task; under the empty name those of all tasks."""
    saved: dict[str, list[SavedFigure]] = {"": []}
    with drawing():
        for task, name, title, figure in drawn_figures(suite, x_axes):
            saved.setdefault(task, []).append(save(figure, name, title))
    return saved


def drawn_figures(suite: SuiteResult, x_axes: Sequence[str] = tuple(AXES)) -> Iterator[DrawnFigure]:
    """Every figure of a suite, one after the other; to be drawn within `drawing`.

    Tasks whose runs have a proxy reward and a KL to the initial policy have one of these besides their learning curves,
    and those whose runs have diagnostics one of these.
    """
    styles = suite_styles(suite)
    tasks = [task for task in suite.tasks if any(result.curve for result in task.algorithms)]
    if len(tasks) > 1:
        overview = chart_building.overview(suite, styles)
        for ending in x_axes:
            x = AXES[ending]
            if any(x in panel.x for panel in overview.panels):
                yield DrawnFigure(
                    "", f"overview-{ending}", f"{overview.title} against {x.title}", overview_figure(overview, x)
                )
    if tasks:
        results = chart_building.final_results(suite, styles)
        yield DrawnFigure("", "intervals", results.title, results_figure(results))
    evidence = evidence_chart(suite, styles)
    if evidence:
        yield DrawnFigure("", "evidence", evidence.title, evidence_figure(evidence))
    profiles = chart_building.performance_profiles(suite, styles)
    if profiles:
        yield DrawnFigure("", "profiles", profiles.title, line_figure(profiles, profiles.panels[0].x[0]))
    searched = search_budget(suite, styles)
    if searched:
        for ending, x in (("trials", TRIALS), ("seconds", SEARCH_SECONDS)):
            if any(x.key in line.x for line in searched.panels[0].lines):
                yield DrawnFigure(
                    "", f"search-{ending}", f"{searched.title} against {x.title}", line_figure(searched, x)
                )
    for own in suite.search.algorithms if suite.search else []:
        tried = tried_figure(own, styles.of(own.algorithm))
        if tried:
            (name,) = file_names([f"tried-{own.algorithm}"])
            yield DrawnFigure("", name, f"Score of every configuration of {own.algorithm} that was tried", tried)
    for task, name in zip(tasks, file_names([task.task for task in tasks]), strict=True):
        curves = chart_building.learning_curves(task, styles)
        for ending in x_axes:
            x = AXES[ending]
            if curves and x in curves.panels[0].x:
                yield DrawnFigure(
                    task.task, f"{name}-{ending}", f"{curves.title} against {x.title}", line_figure(curves, x)
                )
        rewards = chart_building.overoptimisation(task, styles)
        if rewards:
            x = rewards.panels[0].x[0]
            title = f"{rewards.title} against {x.title}"
            yield DrawnFigure(task.task, f"{name}-kl", title, line_figure(rewards, x, together=2))
        ends = chart_building.diagnostics(task, styles)
        if ends:
            yield DrawnFigure(task.task, f"{name}-diagnostics", ends.title, diagnostics_figure(ends))


def file_names(texts: Sequence[str]) -> list[str]:
    """File names for some texts, all different also where case does not count."""
    taken: set[str] = {"overview", "intervals", "profiles", "evidence"}
    names = []
    for text in texts:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:80].strip(".") or "_"
        name, n = stem, 2
        while name.lower() in taken:
            name, n = f"{stem}-{n}", n + 1
        taken.add(name.lower())
        names.append(name)
    return names
