"""What goes on in a results folder: one small file that `run` replaces while it runs, and removes at its end.

It is made from what the workers tell and is never the only copy of anything: no number of a report comes from it, and
it can be deleted at any time. Where it stays behind, the process was killed.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from haepo_bench.files import read_regular
from haepo_bench.results.record import Number, Status

#: Not called `.json`: every such file in a suite's folder is read as a run.
LIVE_FILE = ".live"
LIVE_FORMAT = 1
#: The file is replaced at least so often while its writer lives.
HEARTBEAT_SECONDS = 10.0
_MOST_BYTES = 4 << 20


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class LiveJob(_Part):
    """A job that a worker has.

    Args:
        worker: place of the worker among those that can work at a time, from 1.
        log: its log file relative to the suite's folder.
        seconds: since it was given to the worker.
        env_steps: training env steps of all its runs together, of `total`.
        seconds_left: at the rate so far; None before the first step.
    """

    worker: int
    task: str
    algorithm: str
    seeds: list[int]
    log: str
    seconds: float
    env_steps: int
    total: int
    seconds_left: Number


class LiveCurve(_Part):
    """The evaluation points that a run has reached, thinned where they are many.

    Args:
        ended: whether the run is over, in whatever way.
        values: score at each of `env_steps`; the return where the task has no reference returns.
    """

    task: str
    algorithm: str
    seed: int
    ended: bool
    env_steps: list[int]
    values: list[Number]


class LiveFailure(_Part):
    """Runs that failed in this session; `again` where they are tried again at once."""

    task: str
    algorithm: str
    seeds: list[int]
    status: Status
    type: str
    message: str
    remedy: str
    log: str
    again: bool


class LiveState(_Part):
    """The state of one `run`.

    Args:
        written: when, seconds since 1970, UTC.
        host, process: where it runs.
        seconds: since it began.
        runs: that it has to make, of which `finished` have a result and `failed` have none.
        waiting: jobs that no worker has yet.
        workers: jobs that can run at a time.
        seconds_left: until its last run ends, estimated; None where nothing is known yet.
        scored: tasks whose curves are scores.
        curves: of the runs under way, and of those that ended last.
        curves_left_out: runs under way whose curves are not among them.
    """

    format_version: int = LIVE_FORMAT
    written: float
    host: str
    process: int
    seconds: float
    runs: int
    finished: int
    failed: int
    waiting: int
    workers: int
    seconds_left: Number
    scored: list[str]
    jobs: list[LiveJob]
    curves: list[LiveCurve]
    curves_left_out: int
    failures: list[LiveFailure]


LiveProblem = Literal["unreadable", "newer"]


def read_live(folder: Path) -> LiveState | LiveProblem | None:
    """The live state in a suite's folder; None where nothing runs there."""
    try:
        document = json.loads(read_regular(folder / LIVE_FILE, most=_MOST_BYTES))
        version = document.get("format_version") if isinstance(document, dict) else None
        if isinstance(version, int) and version > LIVE_FORMAT:
            return "newer"
        return LiveState.model_validate(document)
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError, RecursionError):
        return "unreadable"
