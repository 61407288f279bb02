"""Files that Stable-Baselines3 writes: Monitor's episodes and EvalCallback's evaluations."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import UserError
from haepo_bench.exchange.bounded import load_npz
from haepo_bench.exchange.rows import Rows, csv_rows, decode, number

_MONITOR_REMEDY = "a Monitor file begins with #{...} and a header r,l,t"


def read_monitor(files: Sequence[tuple[bytes, str]], window: int) -> Rows:
    """Monitor files of one run, one for each of its environments, as one row an episode in the order of their ends.

    Env steps are those of all environments together, as Stable-Baselines3 counts timesteps. Columns: env_steps,
    episodes, wall_seconds, train_return (mean over the last `window` episodes) and eval_return (the same: Monitor knows
    no other).

    Source: stable_baselines3.common.monitor.load_results, which orders episodes by t_start + t.

    Raises:
        UserError: not a Monitor file, or without a finished episode.
    """
    ends: list[float] = []
    lengths: list[float] = []
    returns: list[float] = []
    places: list[str] = []
    starts: list[float] = []
    for content, where in files:
        text = decode(content, where)
        first, _, rest = text.partition("\n")
        start = _monitor_start(first, where)
        rows = csv_rows(csv.reader(io.StringIO(rest, newline="")), where, first_line=2)
        missing = [name for name in ("r", "l", "t") if name not in rows.columns]
        if missing:
            raise UserError(f"has no column '{missing[0]}'", where=f"{where}:2", remedy=_MONITOR_REMEDY)
        for i, place in enumerate(rows.places):
            cells = [number(rows.columns[name][i], place, name) for name in ("r", "l", "t")]
            if cells[0] is None or cells[1] is None or cells[2] is None or not cells[1] >= 1:
                raise UserError("an episode without return, length or time", where=place, remedy=_MONITOR_REMEDY)
            returns.append(cells[0])
            lengths.append(cells[1])
            ends.append(start + cells[2])
        places += rows.places
        starts.append(start)
    order = np.argsort(ends, kind="stable")
    began = min(starts)
    trailing = trailing_mean(np.array(returns)[order], window).tolist()
    return Rows(
        {
            "env_steps": np.cumsum(np.array(lengths)[order]).tolist(),
            "eval_return": trailing,
            "train_return": trailing,
            "episodes": list(range(1, len(order) + 1)),
            "wall_seconds": (np.array(ends)[order] - began).tolist(),
        },
        [places[i] for i in order],
        {"started": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")} if began > 0 else {},
    )


def trailing_mean(values: NDArray[Any], window: int) -> NDArray[Any]:
    """values: [episode] -> [episode]: mean of the last `window` up to and with each, of all where there are fewer."""
    # From the values themselves, not from running sums: one infinite episode must not spoil all later ones.
    padded = np.concatenate([np.full(window - 1, np.nan), values]) if window > 1 else values
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    counts = np.minimum(np.arange(1, len(values) + 1), window)
    filled = np.where(np.arange(window) >= window - counts[:, None], windows, 0.0)
    return np.asarray(filled.sum(axis=1) / counts)


def _monitor_start(line: str, where: str) -> float:
    """Seconds since 1970 at which the environment was made; 0 where the file does not say."""
    try:
        header = json.loads(line.removeprefix("#")) if line.startswith("#") else None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise UserError("is no Monitor file", where=f"{where}:1", remedy=_MONITOR_REMEDY)
    start = header.get("t_start", 0.0)
    return float(start) if isinstance(start, int | float) and 0 <= start < 1e11 else 0.0


def read_evaluations(content: bytes, where: str) -> Rows:
    """evaluations.npz: columns env_steps, eval_return and eval_return_std (ddof 0), over the episodes of an evaluation.

    Raises:
        UserError: not such a file, or timesteps and results of different lengths.
    """
    arrays = load_npz(content, where, ("timesteps", "results"))
    if len(arrays) < 2 or not all(array.dtype.kind in "iuf" for array in arrays.values()):
        raise UserError(
            "is no evaluations file: it lacks the numbers timesteps and results",
            where=where,
            remedy="EvalCallback(log_path=...) writes evaluations.npz",
        )
    steps, results = arrays["timesteps"], arrays["results"]
    if steps.ndim != 1 or results.ndim != 2 or len(steps) != len(results):
        raise UserError(
            f"timesteps {list(steps.shape)} and results {list(results.shape)} do not go together", where=where
        )
    if not results.size:
        raise UserError("is empty: it holds no evaluation", where=where)
    with np.errstate(invalid="ignore", over="ignore"):
        means, deviations = results.mean(axis=1), results.std(axis=1)
    return Rows(
        {"env_steps": steps.tolist(), "eval_return": means.tolist(), "eval_return_std": deviations.tolist()},
        [f"{where}: evaluation {i}" for i in range(len(steps))],
    )
