"""A verdict for programs: JSON, JUnit XML, GitHub's workflow commands; and the choice among all formats."""

import json
import math
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from haepo_bench import __version__
from haepo_bench.errors import UserError, did_you_mean
from haepo_bench.regression.check import CellVerdict, Verdict
from haepo_bench.regression.present import as_markdown, as_text, change, details, headline, in_order, p_text, ratchet
from haepo_bench.regression.verdict import MEANINGS, Judgement, Mark
from haepo_bench.text import plain

FORMAT_VERSION = 1

_RED = frozenset({Mark.WORSE, Mark.FAILED, Mark.TOO_FEW, Mark.NOT_COMPARABLE})


def as_json(verdict: Verdict) -> str:
    """One object; field by field in docs/how-to/regression.md."""
    document = {
        "format_version": FORMAT_VERSION,
        "haepo_bench_version": __version__,
        "suite": verdict.suite,
        "baseline": verdict.against,
        "verdict": headline(verdict),
        "exit_code": int(verdict.exit_code),
        "rule": asdict(verdict.rule),
        "max_slowdown": verdict.max_slowdown,
        "cells": [_cell(cell, verdict) for cell in verdict.cells],
        "new": [key._asdict() for key in verdict.new],
        "notes": list(verdict.notes),
    }
    return json.dumps(_finite(document), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_junit(verdict: Verdict) -> str:
    """A test case a cell: `-` or slower is a failure; `!`, `?`, `x` are errors."""
    cells = verdict.cells
    failures = sum(_failed(cell) for cell in cells)
    errors = sum(not _failed(cell) and _red(cell) for cell in cells)
    name = f"haepo-bench {plain(verdict.suite)}"
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(cells)), failures=str(failures), errors=str(errors), skipped="0"
    )
    for cell in cells:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{plain(verdict.suite)}.{plain(cell.key.task)}",
            name=plain(cell.key.algorithm),
        )
        text = "\n".join(_lines(cell, verdict))
        if _red(cell):
            kind = "failure" if _failed(cell) else "error"
            element = ElementTree.SubElement(case, kind, type=_type(cell), message=text.partition("\n")[0])
            element.text = text
        else:
            ElementTree.SubElement(case, "system-out").text = text
    if verdict.interrupted:
        case = ElementTree.SubElement(suite, "testcase", classname=plain(verdict.suite), name="interrupted")
        ElementTree.SubElement(case, "error", type="interrupted", message=headline(verdict))
        suite.set("tests", str(len(cells) + 1))
        suite.set("errors", str(errors + 1))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_github(verdict: Verdict) -> str:
    """Workflow commands that a GitHub runner shows as annotations, and a line that says how it ended."""
    commands = []
    for cell in in_order(verdict):
        if _red(cell):
            commands.append(_command("error", f"{_type(cell)}: {cell.key}", "\n".join(_lines(cell, verdict))))
        elif cell.mark is Mark.BETTER:
            commands.append(_command("notice", f"better: {cell.key}", "\n".join(_lines(cell, verdict))))
        if cell in verdict.ratcheted():
            commands.append(_command("warning", f"sinking baseline: {cell.key}", ratchet(cell)))
    commands += [_command("notice", "new cell", f"not in the baseline: {plain(str(key))}") for key in verdict.new]
    commands += [_command("warning", "haepo-bench", note) for note in verdict.notes]
    level = "notice" if verdict.exit_code == 0 else "error"
    return "\n".join([*commands, _command(level, f"haepo-bench {verdict.suite}", headline(verdict)), ""])


FORMATS = {"text": as_text, "markdown": as_markdown, "json": as_json, "junit": as_junit, "github": as_github}
#: Which format a file of this suffix has.
SUFFIXES = {".txt": "text", ".md": "markdown", ".json": "json", ".xml": "junit"}


def render(verdict: Verdict, form: str) -> str:
    """A verdict in one of the `FORMATS`."""
    return FORMATS[form](verdict)


def format_of(suffix: str, where: str) -> str:
    """The format that a file name's suffix means.

    Raises:
        UserError: none.
    """
    if suffix.lower() not in SUFFIXES:
        remedy = did_you_mean(suffix, SUFFIXES, kind="suffix")
        raise UserError("no format is known for a file of this name", where=where, remedy=remedy)
    return SUFFIXES[suffix.lower()]


def _failed(cell: CellVerdict) -> bool:
    return cell.mark is Mark.WORSE or (bool(cell.slow) and cell.cost_comparable)


def _red(cell: CellVerdict) -> bool:
    return cell.mark in _RED or bool(cell.slow)


def _type(cell: CellVerdict) -> str:
    if cell.slow and cell.mark not in _RED:
        return "slower" if cell.cost_comparable else "cost not comparable"
    return MEANINGS[cell.mark]


def _lines(cell: CellVerdict, verdict: Verdict) -> list[str]:
    lines = [f"{cell.mark.value} {MEANINGS[cell.mark]}"]
    if cell.judgement is not None:
        evidence = cell.judgement.evidence
        means = f"{evidence.baseline_mean:.3f} -> {evidence.current_mean:.3f}"
        lines[0] += f": {means}, {change(cell.judgement)}, p {p_text(cell.judgement)}"
    return lines + [line for line in details(cell, verdict) if line]


def _cell(cell: CellVerdict, verdict: Verdict) -> dict[str, Any]:
    return {
        **cell.key._asdict(),
        "mark": cell.mark.value,
        "verdict": MEANINGS[cell.mark],
        "remark": cell.remark,
        "test": _judgement(cell.judgement),
        "confirmation": _judgement(cell.confirmation),
        "explanation": asdict(cell.explanation) if cell.explanation else None,
        "drop_since_first": cell.drop_since_first,
        "sinking": cell in verdict.ratcheted(),
        "slowdown": cell.slowdown,
        "cost": cell.slow,
    }


def _judgement(judgement: Judgement | None) -> dict[str, Any] | None:
    if judgement is None:
        return None
    return {
        **asdict(judgement.evidence),
        "adjusted_p_worse": judgement.p_worse,
        "adjusted_p_better": judgement.p_better,
        "smallest_drop": judgement.smallest_drop,
    }


def _command(level: str, title: str, message: str) -> str:
    """Escaped as GitHub's toolkit does (actions/toolkit, packages/core/src/command.ts)."""

    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    return f"::{level} title={data(plain(title)).replace(':', '%3A').replace(',', '%2C')}::{data(message)}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
