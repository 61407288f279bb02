"""Files that Stable-Baselines3 writes: Monitor's episodes and EvalCallback's evaluations."""

import csv
import io
import json
import re
import warnings
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import UserError
from haepo_bench.exchange.bounded import load_npz
from haepo_bench.exchange.numerals import number
from haepo_bench.exchange.points import started
from haepo_bench.exchange.rows import Rows, csv_rows, decode

_MONITOR_REMEDY = "a Monitor file begins with #{...} and a header r,l,t"
#: The first line of a Monitor file, and of what was resumed into it.
_HEADER = re.compile(r"^#[ \t]*(\{.*)$", re.MULTILINE)
#: Numbers that means are taken of at once.
_BLOCK = 2**22


class _Episode(NamedTuple):
    """One line.

    Args:
        session: how often training had been resumed before.
        end: seconds since 1970, or since training began where the file does not say when that was.
    """

    session: int
    end: float
    length: float
    reward: float
    place: str


def read_monitor(files: Sequence[tuple[bytes, str]]) -> Rows:
    """Monitor files of one run, one for each of its environments, as one row per episode in the order of their ends.

    Env steps are those of all environments together, as Stable-Baselines3 counts timesteps. Columns: env_steps,
    episodes, wall_seconds, eval_return (of the one episode) and train_return (the same: Monitor knows no other).

    A file that training was resumed into begins its clock again, with or without another header: episodes are in the
    order of the file, and seconds go on from where they were.

    Source: stable_baselines3.common.monitor.load_results, which orders episodes by t_start + t.

    Raises:
        UserError: not a Monitor file, no finished episode in any, or only some were resumed.
    """
    read = [_sessions(content, where) for content, where in files]
    read = [sessions for sessions in read if sessions]
    if not read:
        raise UserError("is empty: it has no finished episode", where=files[0][1])
    if len({len(sessions) for sessions in read}) > 1:
        times = {len(sessions): sessions[0][1][0].place for sessions in read}
        raise UserError(
            f"training was resumed {min(times) - 1} times here and {max(times) - 1} times in {times[max(times)]}",
            where=times[min(times)],
            remedy="the order of their episodes is unknown: are these environments of one run?",
        )
    began = min(start for sessions in read for start, _ in sessions[:1])
    episodes: list[_Episode] = []
    for session in range(len(read[0])):
        before = max((episode.end for episode in episodes), default=None)
        for sessions in read:
            start, rows = sessions[session]
            # Without a later header of its own a session's clock starts where the run stood.
            origin = start if before is None or start >= before else before
            episodes += [row._replace(session=session, end=origin + row.end) for row in rows]
    episodes.sort(key=lambda episode: (episode.session, episode.end))
    returns = [episode.reward for episode in episodes]
    return Rows(
        {
            "env_steps": np.cumsum([episode.length for episode in episodes]).tolist(),
            "eval_return": returns,
            "train_return": returns,
            "episodes": list(range(1, len(episodes) + 1)),
            "wall_seconds": [episode.end - began for episode in episodes],
        },
        [episode.place for episode in episodes],
        started(began) if began > 0 else {},
    )


def _sessions(content: bytes, where: str) -> list[tuple[float, list[_Episode]]]:
    """The sessions in a file: when the header above each says that it began, and its episodes, whose `end` is their
    `t`.
    """
    text = decode(content, where)
    headers = list(_HEADER.finditer(text))
    if text.strip() and not (headers and not text[: headers[0].start()].strip()):
        raise UserError("is not a Monitor file", where=f"{where}:1", remedy=_MONITOR_REMEDY)
    sessions = []
    for header, following in zip_longest(headers, headers[1:]):
        line = text.count("\n", 0, header.start()) + 1
        start = _monitor_start(header[1], f"{where}:{line}")
        body = text[header.end() + 1 : following.start() if following else None]
        rows = csv_rows(csv.reader(io.StringIO(body, newline="")), where, first_line=line + 1, may_be_empty=True)
        missing = [name for name in ("r", "l", "t") if rows.columns and name not in rows.columns]
        if missing:
            raise UserError(f"has no column '{missing[0]}'", where=f"{where}:{line + 1}", remedy=_MONITOR_REMEDY)
        own: list[_Episode] = []
        for i, place in enumerate(rows.places):
            reward, length, end = (number(rows.columns[name][i], place, name) for name in ("r", "l", "t"))
            if reward is None or length is None or not 1 <= length < np.inf or end is None or not np.isfinite(end):
                raise UserError("an episode without return, length or time", where=place, remedy=_MONITOR_REMEDY)
            if own and end < own[-1].end:
                sessions.append((start, own))
                own = []
            own.append(_Episode(0, end, length, reward, place))
        sessions.append((start, own))
    return [(start, own) for start, own in sessions if own]


def trailing_mean(values: NDArray[Any], window: int) -> NDArray[Any]:
    """values: [episode] -> [episode]: mean of the last `window` up to and with each, of all where there are fewer."""
    # From the values themselves, not from running sums: one infinite episode must not spoil all later ones.
    padded = np.concatenate([np.full(window - 1, np.nan), values]) if window > 1 else values
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    counts = np.minimum(np.arange(1, len(values) + 1), window)
    means = np.empty(len(values))
    # A block at a time: all windows at once can be larger than memory.
    size = max(1, _BLOCK // window)
    for block in (slice(i, i + size) for i in range(0, len(values), size)):
        filled = np.where(np.arange(window) >= window - counts[block, None], windows[block], 0.0)
        means[block] = filled.sum(axis=1) / counts[block]
    return means


def _monitor_start(text: str, where: str) -> float:
    """Seconds since 1970 at which the environment was made; 0 where the header does not say."""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise UserError("is not a Monitor file", where=where, remedy=_MONITOR_REMEDY)
    start = header.get("t_start", 0.0)
    return float(start) if isinstance(start, int | float) and 0 <= start < 1e11 else 0.0


def read_evaluations(content: bytes, where: str, *, only_finite: bool = False) -> Rows:
    """evaluations.npz: columns env_steps, eval_return and eval_return_std (ddof 0), over the episodes of an evaluation.

    Args:
        only_finite: whether episodes of which the return is NaN or infinite are left out.

    Raises:
        UserError: not such a file, or timesteps and results of different lengths.
    """
    arrays = load_npz(content, where, ("timesteps", "results"))
    if len(arrays) < 2 or not all(array.dtype.kind in "iuf" for array in arrays.values()):
        raise UserError(
            "is not an evaluations file: it lacks the numbers timesteps and results",
            where=where,
            remedy="EvalCallback(log_path=...) writes evaluations.npz",
        )
    steps, results = arrays["timesteps"], arrays["results"]
    if results.ndim > 2 and set(results.shape[2:]) == {1}:
        # Of environments whose rewards are arrays of one element.
        results = results.reshape(results.shape[:2])
    if steps.ndim != 1 or results.ndim != 2 or len(steps) != len(results):
        raise UserError(
            f"timesteps {list(steps.shape)} and results {list(results.shape)} do not go together", where=where
        )
    if not results.size:
        raise UserError("is empty: it holds no evaluation", where=where)
    finite = np.isfinite(results)
    chosen: dict[str, Any] = {} if not only_finite or finite.all() else {"where": finite}
    with np.errstate(invalid="ignore", over="ignore"), warnings.catch_warnings():
        # The mean of no episode is NaN, which needs no warning.
        warnings.simplefilter("ignore", RuntimeWarning)
        means, deviations = results.mean(axis=1, **chosen), results.std(axis=1, **chosen)
    return Rows(
        {"env_steps": steps.tolist(), "eval_return": means.tolist(), "eval_return_std": deviations.tolist()},
        [f"{where}: evaluation {i}" for i in range(len(steps))],
    )
