"""Which figures a report has, as PNG and SVG: overview, learning curves, over-optimisation, diagnostics,
intervals, profiles."""

import re
from collections.abc import Sequence

from haepo_bench.report.across_figures import interval_figure, profile_figure
from haepo_bench.report.curve_figures import AXES, drawable, overview_figure, task_figure
from haepo_bench.report.diagnostics_figure import diagnostics_figure
from haepo_bench.report.document import SuiteResult
from haepo_bench.report.figure_sheet import Picture, drawing
from haepo_bench.report.overoptimisation_figure import overoptimisation_figure
from haepo_bench.report.styles import suite_styles


def suite_pictures(suite: SuiteResult, *, x_axes: Sequence[str] = tuple(AXES)) -> dict[str, list[Picture]]:
    """Every figure of a suite: under each task's name one an x axis, and under the empty name those of all tasks.

    Tasks whose runs have a proxy reward and a KL to the initial policy have one of these besides, and those whose runs
    have diagnostics one of these.
    """
    styles = suite_styles(suite)
    tasks = [task for task in suite.tasks if any(result.curve for result in task.algorithms)]
    names = file_names([task.task for task in tasks])
    pictures: dict[str, list[Picture]] = {"": []}
    with drawing():
        if len(tasks) > 1:
            pictures[""] += [overview_figure(suite, tasks, styles, x) for x in x_axes if drawable(tasks, x)]
        if tasks:
            pictures[""].append(interval_figure(suite, tasks, styles))
        if suite.profiles:
            pictures[""].append(profile_figure(suite, styles))
        for task, name in zip(tasks, names, strict=True):
            pictures[task.task] = [task_figure(task, name, styles, x) for x in x_axes if drawable([task], x)]
            if any(result.overoptimisation for result in task.algorithms):
                pictures[task.task].append(overoptimisation_figure(task, name, styles))
            if task.diagnostic_columns:
                pictures[task.task].append(diagnostics_figure(task, name, styles))
    return pictures


def file_names(texts: Sequence[str]) -> list[str]:
    """File names for some texts, all different also where case does not count."""
    taken: set[str] = {"overview", "intervals", "profiles"}
    names = []
    for text in texts:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:80].strip(".") or "_"
        name, n = stem, 2
        while name.lower() in taken:
            name, n = f"{stem}-{n}", n + 1
        taken.add(name.lower())
        names.append(name)
    return names
