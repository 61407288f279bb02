"""Files that training libraries write of themselves: RLlib's results, Spinning Up's progress, MLflow's metrics."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.exchange.files import read_bytes
from haepo_bench.exchange.points import Point, rows_of_points
from haepo_bench.exchange.rows import Rows, csv_rows, decode, read_json_lines

#: The tag of the runs that we log to MLflow: their identity.
MLFLOW_TAG = "haepo_bench.run"
#: A line of MLflow's metric files: milliseconds since 1970, value, step.
_METRIC_LINE = re.compile(rb"-?[0-9]+ \S+(?: -?[0-9]+)?(?: \S+)*\r?(?:\n|\Z)")


def read_rllib(content: bytes, where: str) -> Rows:
    """result.json: a JSON object for each iteration. A mean return is NaN there until the first episode has ended.

    Raises:
        UserError: not JSON lines.
    """
    rows = read_json_lines(content, where)
    for name, values in rows.columns.items():
        if name.endswith(("return_mean", "reward_mean")):
            rows.columns[name] = _without_leading_nan(values)
    return rows


def _without_leading_nan(values: list[Any]) -> list[Any]:
    kept = list(values)
    for i, value in enumerate(values):
        if isinstance(value, float) and math.isnan(value):
            kept[i] = None
        elif value is not None:
            break
    return kept


def read_progress(content: bytes, where: str) -> Rows:
    """progress.txt: a table with tabs.

    Raises:
        UserError: not such a table.
    """
    return csv_rows(csv.reader(io.StringIO(decode(content, where), newline=""), delimiter="\t"), where)


def metrics_folder(path: Path) -> Path | None:
    """The folder `metrics` of an MLflow run that a file lies in; deeper where a metric's name has slashes."""
    return next((parent for parent in path.parents if parent.name == "metrics"), None)


def is_metric(path: Path, start: bytes) -> bool:
    """Whether a file is one metric of an MLflow run, by its place and how it begins."""
    return metrics_folder(path) is not None and _METRIC_LINE.match(start) is not None


def read_metrics(paths: Sequence[Path]) -> Rows:
    """MLflow's metric files of one run: a column for each, `step` and `wall_seconds`, and the parameter `seed`; of runs
    that `run --log mlflow` logged the parameters `task` and `algorithm` too.

    Raises:
        UserError: a line is not as MLflow writes it.
    """
    points: dict[str, list[Point]] = {}
    for path in paths:
        folder = metrics_folder(path) or path.parent
        own = points[path.relative_to(folder).as_posix()] = []
        for number, line in enumerate(decode(read_bytes(path), str(path)).split("\n"), 1):
            if not line.strip():
                continue
            try:
                cells = line.split()
                step = int(cells[2]) if len(cells) > 2 else 0
                own.append(Point(step, int(cells[0]) / 1000, float(cells[1])))
            except (ValueError, IndexError, OverflowError):
                raise UserError(
                    "is not a line of a metric file",
                    where=f"{path}:{number}",
                    remedy="MLflow writes milliseconds, value and step",
                ) from None
    first = paths[0]
    folder = metrics_folder(first) or first.parent
    known = [point for own in points.values() for point in own]
    if not known:
        raise UserError("is empty", where=str(first))
    rows = rows_of_points(points, min(point.seconds for point in known), str(folder if len(paths) > 1 else first))
    ours = (folder.parent / "tags" / MLFLOW_TAG).is_file()
    for name in ("task", "algorithm", "seed") if ours else ("seed",):
        param = folder.parent / "params" / name
        if param.is_file():
            rows.columns[name] = [decode(read_bytes(param), str(param)).strip()] * len(rows)
    return rows
