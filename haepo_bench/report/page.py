"""The report as one HTML page that needs no network: style, pictures and all inside."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from haepo_bench.report.document import ReportDocument, SuiteResult
from haepo_bench.report.figures import COLOURS, FAINT, INK, Picture
from haepo_bench.report.tables import diagnostics_table, omissions, reading_notes, result_table, summary
from haepo_bench.report.verdict_text import scorecard_lines, scorecard_notes, scorecard_tables

#: What the figures' colours become on a dark ground.
_DARK = {
    INK: "#d1d7de",
    FAINT: "#3a414a",
    **dict(zip(COLOURS, ("#4aa8e0", "#ff8a3d", "#2dc79a", "#e79cc4", "#f2b632", "#9ad1f5", "#a8a8a8"), strict=True)),
}


def to_html(document: ReportDocument, pictures: Sequence[Mapping[str, Sequence[Picture]]]) -> str:
    """The page; `pictures` holds for each suite those of each task, the overview under the empty name."""
    environment = Environment(
        loader=PackageLoader("haepo_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_address"] = data_address
    suites = [_suite(suite, own) for suite, own in zip(document.suites, pictures, strict=True)]
    return environment.get_template("report.html.j2").render(document=document, suites=suites) + "\n"


def _suite(suite: SuiteResult, pictures: Mapping[str, Sequence[Picture]]) -> dict[str, Any]:
    return {
        "result": suite,
        "summary": summary(suite),
        "reading": reading_notes(suite),
        "claims": scorecard_lines(suite.scorecard) if suite.scorecard else [],
        "claim_notes": scorecard_notes(suite.scorecard) if suite.scorecard else [],
        "claim_tables": scorecard_tables(suite),
        "omissions": omissions(suite),
        "overview": pictures.get("", []),
        "tasks": [
            {
                "result": task,
                "table": result_table(task),
                "diagnostics": diagnostics_table(task),
                "pictures": pictures.get(task.task, []),
            }
            for task in suite.tasks
        ],
    }


def data_address(picture: Picture) -> str:
    """A picture as a `data:` address that follows the reader's light or dark scheme."""
    return "data:image/svg+xml;base64," + base64.b64encode(adaptive(picture.svg.decode()).encode()).decode()


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
