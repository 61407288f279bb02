"""Runs and curves as tidy tables, one row per run or evaluation point. Columns: docs/reference/results-format.md."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from haepo_bench.results.columns import WHOLE
from haepo_bench.results.declared_columns import apart
from haepo_bench.results.default_names import defaults_named
from haepo_bench.results.frames import curve_frame, run_frame
from haepo_bench.results.record import RunRecord
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.text import plain

#: What a row of either table belongs to; together they name one run.
KEY = ("suite", "task", "algorithm", "seed")
#: Columns that count things; written as whole numbers where all of their values are whole.
COUNTS = ("budget", "marks", *sorted(WHOLE))
#: Columns of the run table that hold a JSON document as text.
DOCUMENTS = ("notes", "parameters", "settings", "provenance", "attempts")
#: Columns of the run table that say what was run and what its numbers mean, before the numbers.
DESCRIPTION = (
    "uses",
    "status",
    "reason",
    "label",
    "told",
    "critic",
    "discount",
    "footnote",
    "budget",
    "marks",
    "reference_random",
    "reference_solved",
    "reference_source",
    "exploratory",
)
#: Columns of the run table that say where it comes from, behind the numbers.
ORIGIN = ("settings_hash", "code_hash", "started", "package_version", "git_commit", "git_dirty", *DOCUMENTS)


class Tables(NamedTuple):
    """`runs`: one row per run asked for; `curves`: one row per evaluation point of each run that has a result."""

    runs: pd.DataFrame
    curves: pd.DataFrame


def tables(selections: Sequence[Selection]) -> Tables:
    """The runs that a report would show, and those that it would name as missing, in the report's order."""
    runs, curves = [], []
    for selection in map(defaults_named, selections):
        if not selection.cells:
            continue
        own = curve_frame(selection.cells)
        curves.append(_with_suite(own.rename(columns=_shown), selection.name))
        numbers = run_frame(selection.cells, own).rename(columns=_shown)
        described = pd.DataFrame([row for cell in selection.cells for row in _descriptions(cell)])
        joined = pd.concat([numbers, described.drop(columns=["status", "reason"])], axis=1)
        runs.append(_with_suite(joined, selection.name))
    return Tables(_ordered(_stacked(runs)), _whole_counts(_one_line(_stacked(curves))))


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other, columns in the order in which they are met; a column that a frame lacks is empty."""
    return pd.concat(frames, ignore_index=True) if len(frames) != 1 else frames[0]


def _with_suite(frame: pd.DataFrame, suite: str) -> pd.DataFrame:
    frame.insert(0, "suite", pd.Series([suite] * len(frame), dtype=object))
    return frame


def _shown(name: str) -> str:
    """A plugin may record a column that is called like one of these tables."""
    return apart(name, {"suite", *DESCRIPTION, *ORIGIN} - {"status", "reason"})


def _ordered(runs: pd.DataFrame) -> pd.DataFrame:
    numbers = [name for name in runs.columns if name not in (*KEY, *DESCRIPTION, *ORIGIN)]
    return _whole_counts(_one_line(runs[[*KEY, *DESCRIPTION, *numbers, *ORIGIN]].copy()))


def text_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that are neither numbers nor true and false throughout; pandas has more than one type for text."""
    return [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]


def _one_line(frame: pd.DataFrame) -> pd.DataFrame:
    """Text as reports show it: printable and on one line."""
    for name in text_columns(frame):
        if name not in DOCUMENTS:
            known = {value: plain(value) for value in frame[name].unique() if isinstance(value, str)}
            frame[name] = frame[name].map(lambda value, known=known: known.get(value, value))
    return frame


def _whole_counts(frame: pd.DataFrame) -> pd.DataFrame:
    for name in COUNTS:
        if name in frame:
            values = frame[name].dropna()
            if (values == values.round()).all() and (values.abs() < 2**53).all():
                frame[name] = frame[name].astype("Int64")
    return frame


def _descriptions(cell: SelectedCell) -> list[dict[str, Any]]:
    """A row for each seed asked for, in the order of the run frame."""
    found = {run.record.seed: run for run in (*cell.runs, *cell.unfinished)}
    rows = []
    for seed in cell.seeds:
        run = found.get(seed)
        known, record = cell.information, run.record if run else None
        references = cell.sample.references if cell.sample else None
        marks = run.curve.get("env_steps") if run else None
        rows.append(
            {
                "uses": cell.uses,
                "status": "",
                "reason": "",
                "label": known.label if known else None,
                "told": known.told if known else None,
                "critic": known.critic if known else None,
                "discount": known.discount if known else None,
                "footnote": known.footnote if known else "",
                "budget": marks[-1] if marks is not None and len(marks) else float("nan"),
                "marks": len(marks) if marks is not None else float("nan"),
                "reference_random": references.random if references else float("nan"),
                "reference_solved": references.solved if references else float("nan"),
                "reference_source": references.source if references else None,
                "exploratory": seed in cell.preceding,
                "settings_hash": cell.settings_hash,
                "code_hash": cell.code_hash,
                **(_origin(record) if record else {}),
            }
        )
    frame = pd.DataFrame(rows, columns=[*DESCRIPTION, *ORIGIN]).astype(object)
    numeric = ["discount", "budget", "marks", "reference_random", "reference_solved"]
    return frame.astype(dict.fromkeys(numeric, float)).to_dict("records")  # type: ignore[return-value]  # keys are text


def _origin(record: RunRecord) -> dict[str, Any]:
    provenance = record.provenance
    git = provenance.get("git")
    git = git if isinstance(git, dict) else {}
    documents = {
        "notes": record.notes,
        "parameters": record.parameters,
        "settings": record.settings,
        "provenance": provenance,
        "attempts": [attempt.model_dump(mode="json") for attempt in record.attempts],
    }
    return {
        "started": _text(provenance.get("started")),
        "package_version": _text(provenance.get("package_version")),
        "git_commit": _text(git.get("commit")),
        "git_dirty": git.get("dirty") if isinstance(git.get("dirty"), bool) else None,
        # ASCII: whatever reads the table, the document comes out as it was.
        **{name: json.dumps(value, sort_keys=True, allow_nan=False) for name, value in documents.items()},
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
