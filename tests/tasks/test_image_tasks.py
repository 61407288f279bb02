"""Which observations are images; MinAtar's and Atari's games as tasks."""

import sys

import numpy as np
import pytest
from gymnasium import spaces
from image_support import corners, noise

from haepo_bench import catalogue
from haepo_bench.errors import EnvironmentFault, TaskError
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.images import Image, image_of

GAMES = {"Asterix": (4, 5), "Breakout": (4, 3), "Freeway": (7, 3), "Seaquest": (10, 6), "SpaceInvaders": (6, 4)}


def streams(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


@pytest.mark.parametrize(
    ("space", "image"),
    [
        (spaces.Box(0, 255, (84, 80, 3), np.uint8), Image(84, 80, 3, False, 1 / 255, True)),
        (spaces.Box(0, 255, (4, 84, 80), np.uint8), Image(84, 80, 4, True, 1 / 255, True)),
        (spaces.Box(0, 255, (84, 80), np.uint8), Image(84, 80, 1, True, 1 / 255, True)),
        (spaces.Box(0.0, 1.0, (10, 10, 6), bool), Image(10, 10, 6, False, 1.0, True)),
        (spaces.Box(-2.0, 1.0, (5, 5, 5)), Image(5, 5, 5, False, 0.5, False)),
        (spaces.Box(-128, 127, (3, 8, 8), np.int8), Image(8, 8, 3, True, 1 / 128, False)),
        (spaces.Box(0, 255, (4, 4, 3), np.uint8), None),
        (spaces.Box(0, 255, (7, 7), np.uint8), None),
        (spaces.Box(-np.inf, np.inf, (10, 10, 3)), None),
        (spaces.Box(0.0, 1.0, (20, 20)), None),
        (spaces.Box(0, 255, (30,), np.uint8), None),
        (spaces.MultiBinary((10, 10, 3)), None),
    ],
)
def test_images_are_known_by_their_space(space: spaces.Space, image: Image | None) -> None:
    assert image_of(space) == image


def test_many_numbers_that_are_no_image_are_refused() -> None:
    with pytest.raises(TaskError, match=r"8,100 numbers that are not an image"):
        noise(spaces.Box(-np.inf, np.inf, (90, 90)))
    with pytest.raises(TaskError, match=r"shows nothing but the image"):
        noise(spaces.Dict({"screen": spaces.Box(0, 255, (84, 84, 3), np.uint8)}))  # type: ignore[arg-type]


def test_pixels_that_are_no_bytes_are_the_environments_fault() -> None:
    task = noise(spaces.Box(0, 255, (6, 6, 3), np.uint8))
    environment = task.environment()
    for bad in (-1.0, 0.5, 256.0):
        environment.unwrapped._observed = lambda bad=bad: np.full((6, 6, 3), bad)
        with pytest.raises(EnvironmentFault, match="whole numbers from 0 to 255"):
            environment.reset(seed=0)


def test_wrappers_keep_track_of_images() -> None:
    from haepo_bench.tasks.address import Layer
    from haepo_bench.tasks.wrappers.observations import normalised, window

    stack, cells = noise(spaces.Box(0, 255, (2, 8, 8), np.uint8)), corners()
    assert window(stack, Layer("window", 3.0)).image == Image(8, 8, 6, True, 1 / 255, True)
    assert window(cells, Layer("window", 3.0)).image is None
    assert normalised(cells, Layer("normalised", None)).image == Image(10, 10, 4, False, 1.0, False)


def played(task: Task, seed: int, before: int) -> list[float]:
    """Observations and rewards of an episode, after another one of so many steps."""
    environment = task.vector(1)
    environment.reset(streams(99))
    for _ in range(before):
        environment.step(np.full((1, 1), 1), np.ones((1, 1), bool))
    found = [environment.reset(streams(seed))]
    for action in np.random.default_rng(seed).integers(2, size=25):
        step = environment.step(np.full((1, 1), action), np.ones((1, 1), bool))
        found += [step.observations, step.rewards]
        if (step.terminated | step.truncated).any():
            break
    environment.close()
    return np.concatenate([part.ravel() for part in found]).tolist()


@pytest.mark.parametrize("game", GAMES)
def test_minatars_games_are_images_and_their_episodes_know_nothing_of_others(game: str) -> None:
    pytest.importorskip("minatar", reason="MinAtar is not installed (extra minatar)")
    task = catalogue.task(f"gym/MinAtar/{game}-v1")
    channels, actions = GAMES[game]
    assert task.image == Image(10, 10, channels, False, 1.0, True)
    assert (task.horizon, task.action_space) == (2_500, spaces.Discrete(actions))
    for seed in range(8):  # the first action of one in ten episodes is that of the episode before, if not forgotten
        assert played(task, seed, 0) == played(task, seed, 1)
    assert played(task, 0, 0) != played(task, 1, 0)


def test_paired_episodes_of_minatar_start_alike_and_go_on_apart() -> None:
    pytest.importorskip("minatar", reason="MinAtar is not installed (extra minatar)")
    environment = catalogue.task("gym/MinAtar/Asterix-v1").paired(4)
    first = environment.reset(streams(0))
    assert all((first[0, 0] == other).all() for other in first[0])
    for _ in range(30):
        step = environment.step(np.zeros((1, 4), np.int64), np.ones((1, 4), bool))
    assert any((step.observations[0, 0] != other).any() for other in step.observations[0])


def test_without_minatar_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(TaskError, match=r"pip install 'haepo-bench\[minatar\]'"):
        catalogue.task("gym/MinAtar/Breakout-v1")


def test_atari_is_preprocessed_as_usual_unless_the_suite_says_otherwise() -> None:
    pytest.importorskip("ale_py", reason="the Arcade Learning Environment is not installed (extra ale)")
    pytest.importorskip("cv2", reason="OpenCV is not installed (extra ale)")
    task = catalogue.task("gym/ALE/Pong-v5")
    assert task.image == Image(84, 84, 4, True, 1 / 255, True)
    assert task.horizon == 27_000
    assert "AtariPreprocessing" in task.summary
    assert played(task, 3, 0) == played(task, 3, 2)
    environment = task.vector(1)
    shown = environment.reset(streams(0)).reshape(4, 84, 84)
    assert (shown[0] == shown[3]).all()
    assert shown.max() > 100
    with pytest.raises(TaskError, match="no time limit of its own"):
        catalogue.task("gym/ALE/Pong-v5", options={"kwargs": {"obs_type": "ram"}})
    ram = catalogue.task("gym/ALE/Pong-v5", time_limit=100, options={"kwargs": {"obs_type": "ram"}})
    assert (ram.image, ram.observation_space.shape, ram.horizon) == (None, (128,), 100)
