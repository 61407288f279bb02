"""The report as one HTML page that needs no network: style, program, data and pictures all inside."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from haepo_bench.report.charts.building import (
    aggregates,
    end_of_training,
    learning_curves,
    overoptimisation,
    performance_profiles,
)
from haepo_bench.report.charts.description import IntervalChart, LineChart
from haepo_bench.report.charts.history import history_charts
from haepo_bench.report.charts.searches import search_budget
from haepo_bench.report.document import ReportDocument, SuiteResult, TaskResult
from haepo_bench.report.figures.sheet import SavedFigure
from haepo_bench.report.page.charts import assets, chart_fragment
from haepo_bench.report.page.dots import dot_plots
from haepo_bench.report.styles import COLOURS, DARK_COLOURS, DARK_FAINT, DARK_INK, FAINT, INK, Styles, suite_styles
from haepo_bench.report.tables.across import across_tables, improvement_table
from haepo_bench.report.tables.beating import WIDEST, matrix_note, pair_matrix, who_beats_whom
from haepo_bench.report.tables.claim_words import how_to_declare, scorecard_lines, scorecard_notes, variants
from haepo_bench.report.tables.credit import credit_table
from haepo_bench.report.tables.history import HISTORY_TITLE, history_notes, history_tables
from haepo_bench.report.tables.in_short import claim_matrix, decided_by, glance, leaders, mishaps
from haepo_bench.report.tables.overoptimisation import overoptimisation_table
from haepo_bench.report.tables.per_task import (
    Footnotes,
    diagnostics_table,
    heading,
    omissions,
    reading_notes,
    result_table,
    summary,
)
from haepo_bench.report.tables.side_by_side import side_by_side
from haepo_bench.report.tables.verdicts import pairwise_table, scorecard_tables

#: What the figures' colours become on a dark ground.
_DARK = {INK: DARK_INK, FAINT: DARK_FAINT, **dict(zip(COLOURS, DARK_COLOURS, strict=True))}

#: With more variants than this their verdicts in words are folded away.
_TOLD = 3

#: Bytes of pictures for readers without a script; the pictures of further tasks are next to the page only.
_PICTURE_BYTES = 3_000_000


def to_html(
    document: ReportDocument, pictures: Sequence[Mapping[str, Sequence[SavedFigure]]], runs: str | None = None
) -> str:
    """The page.

    Args:
        pictures: for each suite those of each task, and under the empty name those of all tasks.
        runs: where the results folder is from the page, ending with `/`; empty for a page that links to no run. None:
            a page that links to its runs where it is in the folder `report` of a results folder.
    """
    environment = Environment(
        loader=PackageLoader("haepo_bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    fallbacks = _Fallbacks()
    suites = [
        _suite(suite, own, f"s{number}", fallbacks)
        for number, (suite, own) in enumerate(zip(document.suites, pictures, strict=True), 1)
    ]
    page = environment.get_template("report.html.j2")
    beside = side_by_side(document)
    return page.render(document=document, suites=suites, side_by_side=beside, runs=runs, assets=assets()) + "\n"


class _Fallbacks:
    """Pictures for readers without a script, as long as there is room for them."""

    def __init__(self) -> None:
        self._left = _PICTURE_BYTES

    def of(self, pictures: Sequence[SavedFigure], name: str) -> Markup:
        """The picture whose name ends so; a line of text where there is no room for it or no such picture."""
        picture = next((each for each in pictures if each.name.endswith(name)), None)
        if picture is None:
            return Markup("<p>Without JavaScript this chart is not shown; the table has its numbers.</p>")
        address = data_address(picture)
        self._left -= len(address)
        if self._left < 0:
            return Markup("<p>Without JavaScript this chart is not shown; the table has its numbers.</p>")
        return Markup(f'<img alt="{escape(picture.title)}" src="{address}">')


def _suite(
    suite: SuiteResult, pictures: Mapping[str, Sequence[SavedFigure]], key: str, fallbacks: _Fallbacks
) -> dict[str, Any]:
    styles = suite_styles(suite)
    algorithms = {result.algorithm: result for task in suite.tasks for result in task.algorithms}
    footnotes = Footnotes(algorithms.values())
    return {
        "key": key,
        "result": suite,
        "summary": summary(suite),
        "leaders": leaders(suite),
        "beats": who_beats_whom(suite),
        "beating": pair_matrix(suite),
        "beating_note": matrix_note(suite),
        "widest": WIDEST,
        "algorithms": list(algorithms),
        "marks": {name: footnotes.marker(result) for name, result in algorithms.items()},
        "footnotes": footnotes.lines,
        "colours": {name: styles.of(name).colour for name in algorithms},
        "reading": reading_notes(suite),
        "matrix": claim_matrix(suite),
        "claims": scorecard_lines(suite),
        "decided_by": decided_by(suite),
        "claim_notes": scorecard_notes(suite),
        "claim_tables": scorecard_tables(suite),
        "evidence": _picture(pictures.get("", []), "evidence"),
        "few_variants": suite.scorecard is not None and len(suite.scorecard.candidates) <= _TOLD,
        "variant": variants(suite).capitalize(),
        "how_to_declare": how_to_declare(suite),
        "pairwise": pairwise_table(suite),
        "glance": glance(suite),
        "aggregates": _dots(aggregates(suite, styles)),
        "profiles": _fragment(
            performance_profiles(suite, styles), f"{key}p", fallbacks, pictures.get("", []), "profiles"
        ),
        "search": _fragment(search_budget(suite, styles), f"{key}q", fallbacks, pictures.get("", []), "search-trials"),
        "across": across_tables(suite),
        "history": _history(suite, styles),
        "history_notes": history_notes(suite),
        "mishaps": mishaps(suite),
        "omissions": omissions(suite),
        "tasks": [
            _task(
                task,
                pictures.get(task.task, []),
                f"{key}t{number}",
                key,
                styles,
                fallbacks,
                None if suite.results else suite.folder,
            )
            for number, task in enumerate(suite.tasks, 1)
        ],
    }


def _task(
    task: TaskResult,
    pictures: Sequence[SavedFigure],
    key: str,
    group: str,
    styles: Styles,
    fallbacks: _Fallbacks,
    folder: str | None,
) -> dict[str, Any]:
    known = task.references
    more = {"folder": folder, "references": [known.random, known.solved] if known else None}
    return {
        "key": key,
        "result": task,
        "heading": heading(task),
        "intervals": _dots(end_of_training(task, styles)),
        "curves": _fragment(learning_curves(task, styles), group, fallbacks, pictures, "-steps", more),
        "table": result_table(task),
        "diagnostics": diagnostics_table(task),
        "optimised": overoptimisation_table(task),
        "optimised_chart": _fragment(overoptimisation(task, styles), f"{group}o", fallbacks, pictures, "-kl"),
        "credit": credit_table(task),
        "improvement": improvement_table(task),
    }


def _history(suite: SuiteResult, styles: Styles) -> list[dict[str, Any]]:
    """Each task's tables (two where some algorithms have scores and others returns), and a chart per algorithm."""
    found: dict[str, dict[str, Any]] = {}
    for own, chart in history_charts(suite, styles):
        task = found.setdefault(own.task, {"task": own.task, "charts": [], "tables": []})
        if chart.panels:
            task["charts"].append((own.algorithm, _dots(chart)))
    for table in history_tables(suite):
        found[table.title.removesuffix(HISTORY_TITLE)]["tables"].append(table)
    return list(found.values())


def _fragment(
    chart: LineChart | None,
    group: str,
    fallbacks: _Fallbacks,
    pictures: Sequence[SavedFigure],
    name: str,
    more: Mapping[str, Any] | None = None,
) -> Markup:
    if chart is None:
        return Markup("")
    return chart_fragment(chart, group=group, fallback=fallbacks.of(pictures, name), more=more)


def _dots(chart: IntervalChart | None) -> dict[str, Any] | None:
    return {"plots": dot_plots(chart), "notes": chart.notes} if chart else None


def _picture(pictures: Sequence[SavedFigure], name: str) -> Markup:
    """A figure on the page; nothing where it was not drawn."""
    found = next((each for each in pictures if each.name == name), None)
    return Markup('<img alt="{}" src="{}">').format(found.title, data_address(found)) if found else Markup("")


def data_address(picture: SavedFigure) -> str:
    """A picture as a `data:` address that follows the reader's light or dark scheme."""
    return "data:image/svg+xml;base64," + base64.b64encode(adaptive(picture.files["svg"].decode()).encode()).decode()


def adaptive(svg: str) -> str:
    """An SVG of ours with its colours as variables, which a dark scheme changes, and its paths in hundredths."""
    names = {colour: f"--c{i}" for i, colour in enumerate(_DARK)}
    known = "|".join(map(re.escape, names))
    svg = re.sub(rf"(fill|stroke): ({known})", lambda match: f"{match[1]}: var({names[match[2]]})", svg)
    svg = re.sub(r' d="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    light = "".join(f"{name}:{colour};" for colour, name in names.items())
    dark = "".join(f"{name}:{_DARK[colour]};" for colour, name in names.items())
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    start = svg.index("<svg")
    return svg[start:].replace(">", f">{style}", 1)
