"""The project's own tasks through `gymnasium.make`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from haepo_bench import catalogue, registration
from haepo_bench.errors import UserError

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("address", registration.ADDRESSES)
def test_every_id_makes_its_task_and_passes_the_checkers(address: str) -> None:
    task = catalogue.task(address)
    name = registration.gymnasium_id(address)
    assert re.fullmatch(rf"haepo_bench/[a-z0-9-]+-v{task.version}", name), "a task's version is its id's"
    made = gymnasium.make(name)
    assert (made.observation_space, made.action_space) == (task.observation_space, task.action_space)
    check_env(made.unwrapped, skip_render_check=True)
    check_env_sb3(made, warn=False)


def test_an_episode_is_that_of_the_task() -> None:
    made, own = gymnasium.make("haepo_bench/random-walk-20-v1"), catalogue.task("random-walk/20").environment()
    for environment in (made, own):
        first, _ = environment.reset(seed=3)
        assert first.tolist() == np.eye(20)[1].tolist()
    for t in range(100):
        step, expected = made.step(1 - t % 2), own.step(1 - t % 2)
        assert step[0].tolist() == expected[0].tolist()
        assert step[1:] == expected[1:]
    assert step[3], "cut off after 100 steps"


def test_any_address() -> None:
    clean = gymnasium.make(registration.ANY, address="scale(random-walk/20,10)", time_limit=30)
    training = gymnasium.make(registration.ANY, address="scale(random-walk/20,10)", training=True)
    for environment, reward in ((clean, 0.1), (training, 1.0)):
        environment.reset(seed=0)
        assert environment.step(0)[1:4] == (reward, True, False)
    with pytest.raises(UserError, match="unknown task"):
        gymnasium.make(registration.ANY, address="random-work/20")


def test_registering_again_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    registration.register()
    assert gymnasium.registry == before


def test_a_library_that_imports_gymnasium_alone_can_make_them(tmp_path: Path) -> None:
    script = (
        "import gymnasium\n"
        "made = gymnasium.make('haepo_bench.registration:haepo_bench/bandit-10-arm-v2')\n"
        "print(made.spec.id, made.reset(seed=0)[0].tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=300, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout == "haepo_bench/bandit-10-arm-v2 [1.0]\n", done.stderr
