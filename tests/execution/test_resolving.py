"""A suite resolved by the first worker: the same plan, the same errors, whatever happens to the worker."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from haepo_bench.errors import UserError
from haepo_bench.execution.resolving import SuiteWorker
from haepo_bench.suite.resolve import load_plan

SMALL = """
name: small
seeds: 2
budget: {env_steps: 40}
tasks: [bandit/10-arm]
algorithms: [reinforce, grpo]
execution: {workers: 1}
"""

LOCAL = """
import os
import pathlib
import signal

from haepo_bench.api import hyper
from haepo_bench.objectives.reinforce import Reinforce

mark = pathlib.Path(__file__).with_name("died")
if not mark.exists() and os.environ.get("DIES"):
    mark.write_text("once")
    os.kill(os.getpid(), getattr(signal, os.environ["DIES"]))


class Mine(Reinforce):
    \"\"\"REINFORCE under another name.\"\"\"
"""


def program(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments], cwd=cwd, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_plan_is_the_one_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    suite, sets, only = str(tmp_path / "small.yaml"), ["seeds=3"], ["grpo"]
    with contextlib.closing(SuiteWorker()) as worker:
        (process,) = worker.ready
        for options in ({}, {"engine": "torch", "engine_from": "a test"}):
            assert worker.load_plan(suite, sets, only, **options) == load_plan(suite, sets, only, **options)
        assert process.process.poll() is None
    assert process.process.poll() is not None
    assert worker.ready == ()


@pytest.mark.parametrize(
    ("change", "sets", "only"),
    [
        (("grpo", "grop"), [], []),
        (("bandit/10-arm", "bandit/0-arm"), [], []),
        (("[reinforce, grpo]", "[{use: grpo, params: {epochz: 3, learning_rate: -1}}, nothing]"), [], []),
        (("budget", "budgets"), [], []),
        (("", ""), ["seeds=none"], []),
        (("", ""), [], ["nosuch"]),
        (("name: small", "name: ["), [], []),
    ],
)
def test_errors_are_those_of_this_process(tmp_path: Path, change: tuple[str, str], sets: list, only: list) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SMALL.replace(*change) if change[0] else SMALL)
    with pytest.raises(UserError) as here:
        load_plan(str(path), sets, only)
    with contextlib.closing(SuiteWorker()) as worker, pytest.raises(UserError) as there:
        worker.load_plan(str(path), sets, only)
    assert (str(there.value), there.value.exit_code) == (str(here.value), here.value.exit_code)


def test_one_worker_resolves_and_trains(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    done = program("run", "small.yaml", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logs = list((tmp_path / "results").rglob("*.log"))
    assert len(logs) == 2
    assert len({line.rsplit("pid ")[1] for log in logs for line in log.read_text().splitlines() if "pid " in line}) == 1


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSEGV"])
def test_a_worker_that_dies_of_the_suite_leaves_it_to_the_program(tmp_path: Path, signal: str) -> None:
    (tmp_path / "mine.py").write_text(LOCAL)
    (tmp_path / "small.yaml").write_text(SMALL.replace("grpo", "./mine.py"))
    done = program("run", "small.yaml", cwd=tmp_path, DIES=signal)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    assert done.stderr.count("runs your code") == 1  # said once, by whichever process ran it
    assert len(list((tmp_path / "results").rglob("seed-*.json"))) == 4


ENDING = """
import os

import gymnasium
import numpy as np

WHEN = ""
if WHEN == "import":
    os._exit(7)


class Room(gymnasium.Env):
    max_episode_steps = 5
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        if WHEN == "step":
            os._exit(7)
        return np.zeros(1, np.float32), 0.0, True, False, {}
"""


@pytest.mark.parametrize(
    ("when", "what"),
    [("import", "./room.py was imported and made"), ("step", "a first step of ./room.py was tried")],
)
@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"]])
def test_a_task_that_ends_the_process_is_named(tmp_path: Path, when: str, what: str, command: list[str]) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("[bandit/10-arm]", "[bandit/10-arm, ./room.py]"))
    (tmp_path / "room.py").write_text(ENDING.replace('WHEN = ""', f'WHEN = "{when}"'))
    done = program(*command, "small.yaml", cwd=tmp_path)
    assert done.returncode == 4
    assert f"small.yaml:5: tasks[1]: the process exited with code 7 while {what}\n" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nos._exit(0)\n", "algorithms[1]: the process exited with code 0 while ./mine.py was imported"),
        ("raise BaseException('odd')\n", "mine.py:1: ./mine.py fails: BaseException: odd"),
    ],
)
def test_code_that_ends_its_process_does_not_end_this_one(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("grpo", "./mine.py"))
    (tmp_path / "mine.py").write_text(text)
    with contextlib.closing(SuiteWorker()) as worker, pytest.raises(UserError) as caught:
        worker.load_plan(str(tmp_path / "small.yaml"))
    assert said in str(caught.value)
    assert "mine.py" in str(caught.value)
