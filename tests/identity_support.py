"""Cells, made as a suite makes them."""

import json
import tempfile
from pathlib import Path
from typing import Any

from haepo_bench.suite.plan import Cell
from haepo_bench.suite.resolve import load_plan


def make_cell(algorithm: str, task: str, steps: int = 30, **params: Any) -> Cell:
    """The cell of an algorithm on a task."""
    document = {
        "name": "one-cell",
        "description": "-",
        "seeds": 1,
        "budget": {"env_steps": steps},
        "evaluation": {"every": steps, "episodes": 2},
        "tasks": [{"id": task}],
        "algorithms": [{"use": algorithm, "params": params}],
        "execution": {"device": "cpu"},
    }
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "suite.yaml"
        suite.write_text(json.dumps(document), encoding="utf-8")
        (cell,) = load_plan(suite).cells
    return cell


def code(algorithm: str, task: str) -> dict[str, str]:
    """What such a cell executes."""
    return make_cell(algorithm, task).code


def code_hash(algorithm: str, task: str) -> str:
    """The hash of it."""
    return make_cell(algorithm, task).code_hash
