"""What a tool that does not answer costs a session."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from haepo_bench.execution.executor import Finished, Marked
from haepo_bench.loggers import live

CELL = SimpleNamespace(
    task="bandit/10-arm",
    algorithm="grpo",
    settings_hash="s",
    code_hash="c",
    budget=100,
    engine="torch",
    parameters={},
    references=None,
)
RUN: Any = SimpleNamespace(key="run", cell=CELL, seed=0)


class Hanging:
    """A tool that takes nothing until it is killed."""

    def __init__(self) -> None:
        self.killed = threading.Event()

    def begin(self, run: Any) -> Any:
        self.killed.wait()
        raise RuntimeError("killed")

    def kill(self) -> None:
        self.killed.set()


@pytest.mark.parametrize("finished", [True, False])
def test_a_tool_that_hangs_is_ended_sooner_where_the_session_is_stopped(
    monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    monkeypatch.setattr(live, "_CLOSING_SECONDS" if finished else "_HURRIED_SECONDS", 0.05)
    tool: Any = Hanging()
    job: Any = None
    logger = live.LiveLogger("--log hanging", "small", tool)
    logger.__enter__()
    logger.show(Marked(job, RUN, {"env_steps": 0, "eval_return": 1.0}))
    if finished:
        logger.show(Finished(job, RUN, ""))
    with pytest.raises(TimeoutError, match=r"it took longer than 0\.05 s after the last run"):
        logger.__exit__(None, None, None)
    assert tool.killed.is_set()
