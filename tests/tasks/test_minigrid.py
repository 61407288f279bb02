"""MiniGrid's environments through `gym/`."""

import sys

import gymnasium
import numpy as np
import pytest
from benchmark_scripts import load
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from test_tasks import returns_of, streams
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import TaskError

tool = load("minigrid_references")

EMPTY = "gym/MiniGrid-Empty-5x5-v0"
LEFT, RIGHT, FORWARD = 0, 1, 2


@pytest.fixture
def installed() -> None:
    pytest.importorskip("minigrid", reason="MiniGrid is not installed (extra minigrid)")


def test_without_minigrid_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minigrid", None)
    with pytest.raises(TaskError, match=r"pip install 'haepo-bench\[minigrid\]'"):
        catalogue.task(f"delayed({EMPTY})")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "horizon"),
    [("MiniGrid-Empty-5x5-v0", 100), ("MiniGrid-DoorKey-5x5-v0", 250), ("MiniGrid-FourRooms-v0", 100)],
)
def test_the_image_is_observed_and_the_own_limit_kept(name: str, horizon: int) -> None:
    task = catalogue.task(f"gym/{name}")
    assert task.horizon == horizon
    assert task.observation_space.shape == (7 * 7 * 3,)
    assert task.action_space.n == 7
    observation, _ = task.environment().reset(seed=4)
    image = gymnasium.make(name).reset(seed=4)[0]["image"]
    np.testing.assert_array_equal(observation, image.ravel())
    still = returns_of(task, lambda o, t: np.full(o.shape[:2], LEFT), streams(0), 1)
    assert still.item() == 0


@pytest.mark.usefixtures("installed")
def test_the_shortest_way_is_paid_as_minigrid_pays_it() -> None:
    """Two forward, right, two forward: five steps of a hundred, 1 - 0.9 * 5 / 100."""
    way = [FORWARD, FORWARD, RIGHT, FORWARD, FORWARD]
    for time_limit in (None, 50, 1000):
        task = catalogue.task(EMPTY, time_limit=time_limit)
        returns = returns_of(task, lambda o, t: np.full(o.shape[:2], way[t]), streams(0), 2)
        np.testing.assert_allclose(returns, 1 - 0.9 * 5 / 100, rtol=1e-6)
        assert task.horizon == min(time_limit or 100, 100), "its own limit cuts episodes off whatever is asked for"


@pytest.mark.usefixtures("installed")
def test_a_misspelt_id() -> None:
    with pytest.raises(TaskError, match="did you mean 'gym/MiniGrid-Empty-5x5-v0'"):
        catalogue.task("gym/MiniGrid-Emty-5x5-v0")


@pytest.mark.usefixtures("installed")
@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning", "ignore::UserWarning:gymnasium")
def test_single_environments_pass_the_checkers() -> None:
    check_env(catalogue.task(EMPTY).environment(), skip_render_check=True)
    check_env_sb3(catalogue.task(EMPTY).environment(), warn=False)


@pytest.mark.usefixtures("installed")
def test_a_run_is_the_same_alone_and_among_others() -> None:
    task = catalogue.task(f"normalised({EMPTY})", time_limit=20)
    among = train("reinforce", task, [0, 1, 2], 200, 200, trajectories=4)
    assert without_clocks(among[2]) == without_clocks(train("reinforce", task, [2], 200, 200, trajectories=4)[2])


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "episodes", "deviation"),
    # Of single returns, 0 in most episodes: its standard deviation in the measurement, as the tool printed it.
    [
        ("DoorKey-5x5", 300, 0.125),
        ("DoorKey-6x6", 60, 0.099),
        ("DoorKey-8x8", 60, 0.064),
        ("KeyCorridorS3R1", 60, 0.086),
        ("KeyCorridorS3R2", 60, 0.034),
        ("KeyCorridorS3R3", 60, 0.024),
    ],
)
def test_references(kind: str, episodes: int, deviation: float) -> None:
    """Fresh layouts and episodes: random within 5 standard errors of both means, solved within 5 of 200 plans."""
    name = f"MiniGrid-{kind}-v0"
    task = catalogue.task(f"gym/{name}")
    assert task.references is not None
    assert task.return_bounds == (0.0, 1.0)
    environment = gymnasium.make(name, disable_env_checker=True).unwrapped
    plans = np.array([tool.plan_return(environment, 10_000 + seed, play=seed < 3) for seed in range(200)])
    assert abs(plans.mean() - task.references.solved) < 5 * plans.std() / np.sqrt(200) + 1e-4
    returns = tool.random_returns(environment, episodes, first=5_000_000)
    assert abs(returns.mean() - task.references.random) < 5 * deviation / np.sqrt(episodes)
    assert catalogue.task(f"gym/{name}", time_limit=50).references is None
