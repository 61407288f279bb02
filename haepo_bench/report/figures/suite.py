"""Which figures a report can have: overview, learning curves, over-optimisation, diagnostics,
intervals, evidence, profiles."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.figure import Figure

from haepo_bench.report.charts import building as chart_building
from haepo_bench.report.charts.evidence import evidence_chart
from haepo_bench.report.charts.searches import SEARCH_SECONDS, TRIALS, search_budget
from haepo_bench.report.document import SuiteResult, TaskResult
from haepo_bench.report.figures.evidence import evidence_figure
from haepo_bench.report.figures.formats import PAGE, FigureFormat, FigureStyle
from haepo_bench.report.figures.intervals import diagnostics_figure, results_figure
from haepo_bench.report.figures.lines import line_figure, overview_figure
from haepo_bench.report.figures.searches import tried_figure, tried_parameters
from haepo_bench.report.figures.sheet import SavedFigure, drawing, save
from haepo_bench.report.styles import Styles, suite_styles

#: Axes against which learning curves have a figure, under what its file's name ends with.
AXES = {"steps": chart_building.ENV_STEPS, "seconds": chart_building.WALL_SECONDS}


class SuiteFigure(NamedTuple):
    """A figure that a suite can have.

    Args:
        task: whose it is; empty for those of all tasks.
        name: file name without its suffix.
        title: one line of text that says what it shows.
        notes: how to read it.
        on_page: whether the report's page shows it.
        draw: draws it, within `drawing`; takes a `style`.
    """

    task: str
    name: str
    title: str
    notes: tuple[str, ...]
    on_page: bool
    draw: Callable[..., Figure]


def suite_pictures(
    suite: SuiteResult,
    formats: Sequence[FigureFormat] = ("png", "svg"),
    *,
    style: FigureStyle = PAGE,
    x_axes: Sequence[str] = tuple(AXES),
) -> dict[str, list[SavedFigure]]:
    """Every figure of a suite, under the name of its task; under the empty name those of all tasks."""
    return _saved(suite_figures(suite, x_axes), formats, style)


def page_pictures(suite: SuiteResult) -> dict[str, list[SavedFigure]]:
    """Those that the page shows, as SVG; sorted like `suite_pictures`."""
    return _saved((figure for figure in suite_figures(suite) if figure.on_page), ("svg",), PAGE)


def _saved(
    figures: Iterable[SuiteFigure], formats: Sequence[FigureFormat], style: FigureStyle
) -> dict[str, list[SavedFigure]]:
    saved: dict[str, list[SavedFigure]] = {"": []}
    with drawing(style):
        for each in figures:
            files = save(each.draw(style=style), formats, tight=style.full is None)
            saved.setdefault(each.task, []).append(SavedFigure(each.name, each.title, each.notes, files))
    return saved


def suite_figures(suite: SuiteResult, x_axes: Sequence[str] = tuple(AXES)) -> Iterator[SuiteFigure]:
    """Every figure of a suite, none of them drawn yet.

    Tasks whose runs have a proxy reward and a KL to the initial policy have one of these besides their learning curves,
    and those whose runs have diagnostics one of these.
    """
    styles = suite_styles(suite)
    tasks = [task for task in suite.tasks if any(result.curve for result in task.algorithms)]
    yield from _of_all_tasks(suite, tasks, styles, x_axes)
    for own in suite.search.algorithms if suite.search else []:
        if tried_parameters(own):
            (name,) = file_names([f"tried-{own.algorithm}"])
            title = f"Score of every configuration of {own.algorithm} that was tried"
            yield SuiteFigure("", name, title, (), False, partial(tried_figure, own, styles.of(own.algorithm)))
    for task, name in zip(tasks, file_names([task.task for task in tasks]), strict=True):
        curves = chart_building.learning_curves(task, styles)
        for ending in x_axes:
            x = AXES[ending]
            if curves and x in curves.panels[0].x:
                title = f"{curves.title} against {x.title}"
                draw = partial(line_figure, curves, x)
                yield SuiteFigure(task.task, f"{name}-{ending}", title, curves.notes, ending == "steps", draw)
        rewards = chart_building.overoptimisation(task, styles)
        if rewards:
            x = rewards.panels[0].x[0]
            title = f"{rewards.title} against {x.title}"
            draw = partial(line_figure, rewards, x, together=2)
            yield SuiteFigure(task.task, f"{name}-kl", title, rewards.notes, True, draw)
        ends = chart_building.diagnostics(task, styles)
        if ends:
            draw = partial(diagnostics_figure, ends)
            yield SuiteFigure(task.task, f"{name}-diagnostics", ends.title, ends.notes, False, draw)


def _of_all_tasks(
    suite: SuiteResult, tasks: Sequence[TaskResult], styles: Styles, x_axes: Sequence[str]
) -> Iterator[SuiteFigure]:
    if len(tasks) > 1:
        overview = chart_building.overview(suite, styles)
        for ending in x_axes:
            x = AXES[ending]
            if any(x in panel.x for panel in overview.panels):
                title = f"{overview.title} against {x.title}"
                draw = partial(overview_figure, overview, x)
                yield SuiteFigure("", f"overview-{ending}", title, overview.notes, False, draw)
    if tasks:
        results = chart_building.final_results(suite, styles)
        yield SuiteFigure("", "intervals", results.title, results.notes, False, partial(results_figure, results))
    evidence = evidence_chart(suite, styles)
    if evidence:
        yield SuiteFigure("", "evidence", evidence.title, evidence.notes, True, partial(evidence_figure, evidence))
    profiles = chart_building.performance_profiles(suite, styles)
    if profiles:
        draw = partial(line_figure, profiles, profiles.panels[0].x[0])
        yield SuiteFigure("", "profiles", profiles.title, profiles.notes, True, draw)
    searched = search_budget(suite, styles)
    if searched:
        for ending, x in (("trials", TRIALS), ("seconds", SEARCH_SECONDS)):
            if any(x.key in line.x for line in searched.panels[0].lines):
                title = f"{searched.title} against {x.title}"
                draw = partial(line_figure, searched, x)
                yield SuiteFigure("", f"search-{ending}", title, searched.notes, ending == "trials", draw)


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
