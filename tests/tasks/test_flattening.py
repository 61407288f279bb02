"""Spaces of other people's environments, flattened as gymnasium flattens them, and actions of several choices."""

from collections import OrderedDict
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.policies.heads import Categorical, MultiCategorical
from haepo_bench.tasks.environments.flattening import Actions, Observations
from haepo_bench.tasks.environments.foreign import FlatEnvironment

SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (2, 3), np.float32),
    "bytes": spaces.Box(0, 255, (2, 2, 3), np.uint8),
    "discrete": spaces.Discrete(4),
    "discrete from 2 on": spaces.Discrete(4, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 2]),
    "multi-discrete of a shape": spaces.MultiDiscrete([[3, 2], [4, 5]]),
    "multi-binary": spaces.MultiBinary((2, 2)),
    "dict": spaces.Dict({"b": spaces.Discrete(3), "a": spaces.Box(0, 1, (2,))}),
    "tuple": spaces.Tuple((spaces.Discrete(2, start=1), spaces.Box(-2, 2, ()))),
    "nested": spaces.Dict(
        {"x": spaces.Tuple((spaces.Dict({"y": spaces.MultiDiscrete([2, 3])}), spaces.MultiBinary(3)))}
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_it_is_gymnasiums_own_flattening(name: str) -> None:
    space = SPACES[name]
    space.seed(7)
    observations = Observations("x", space)
    flat = spaces.flatten_space(space)
    assert isinstance(flat, spaces.Box)
    assert observations.space.shape == flat.shape
    if name != "multi-discrete of a shape":  # gymnasium's own bounds
        np.testing.assert_array_equal(observations.space.low, flat.low.astype(np.float32))
        np.testing.assert_array_equal(observations.space.high, flat.high.astype(np.float32))
    for _ in range(50):
        sample = space.sample()
        expected = np.asarray(spaces.flatten(space, sample), np.float32)
        row = observations(sample)
        assert row.dtype == np.float32
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("box", np.zeros(5)), ("box", "text"), ("discrete", 4), ("discrete", -1), ("discrete", 0.5), ("discrete", None),
        ("discrete from 2 on", 1), ("multi-discrete", [3, 0]), ("multi-discrete", [0]), ("multi-discrete", [0.5, 0]),
        ("multi-binary", [[0, 2], [0, 0]]), ("multi-binary", [0, 1]), ("dict", {"a": [0, 0]}), ("dict", [1, 2]),
        ("dict", {"a": [0, 0], "b": 1, "c": 2}), ("dict", {"a": [0, 0], "b": 3}), ("tuple", (1,)), ("tuple", 1),
        ("tuple", (0, 0.0)), ("nested", {"x": ({"y": [2, 0]}, [0, 0, 0])}),
    ],
)  # fmt: skip
def test_what_is_not_of_the_space_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Observations("x", SPACES[name])(wrong)


def test_whole_numbers_keep_every_digit() -> None:
    observations = Observations("x", spaces.Discrete(3, start=2**60))
    for place in range(3):
        assert observations(2**60 + place).tolist() == [float(place == each) for each in range(3)]
        assert observations(np.int64(2**60 + place)).tolist() == [float(place == each) for each in range(3)]


def test_many_values_are_no_pixels() -> None:
    assert Observations("x", spaces.Discrete(6000)).space.shape == (6000,)


def test_a_dictionary_in_another_order_is_the_same() -> None:
    observations = Observations("x", SPACES["dict"])
    one, two = OrderedDict(a=[0.5, 1.0], b=2), OrderedDict(b=2, a=[0.5, 1.0])
    np.testing.assert_array_equal(observations(one), observations(two))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5), spaces.Sequence(spaces.Discrete(2)), spaces.Dict({}), spaces.Box(0, 1, (0,)),
        spaces.Discrete(10**9), spaces.Box(0, 1, (0, 8, 8)), spaces.Box(0, 255, (8, 8, 0), np.uint8),
        spaces.Box(0, 1, (6000,)), spaces.Box(0, 255, (2, 42, 42, 3), np.uint8), spaces.MultiBinary(6000),
        spaces.Dict({"a": spaces.Box(0, 1, (3000,)), "b": spaces.Box(0, 1, (3000,))}),
        spaces.Tuple((spaces.Discrete(600_000), spaces.Discrete(600_000))),
        spaces.Box(-np.inf, np.inf, (84, 84, 4)), spaces.MultiDiscrete([10**9, 2]), spaces.Dict({"a": spaces.Text(3)}),
    ],
    ids=str,
)  # fmt: skip
def test_spaces_that_no_network_takes(space: spaces.Space[Any]) -> None:
    with pytest.raises(TaskError):
        Observations("x", space)


@pytest.mark.parametrize(
    ("space", "sizes"),
    [
        (spaces.MultiDiscrete([3, 2]), [3, 2]),
        (spaces.MultiDiscrete([3, 2], start=[-1, 5]), [3, 2]),
        (spaces.MultiDiscrete([[2, 3], [4, 2]]), [2, 3, 4, 2]),
        (spaces.MultiBinary(3), [2, 2, 2]),
        (spaces.MultiBinary((2, 2)), [2, 2, 2, 2]),
        (spaces.Box(-2, 3, (2,), np.int64), [6, 6]),
        (spaces.Box(np.array([0, 5]), np.array([1, 9]), dtype=np.int32), [2, 5]),
    ],
    ids=str,
)
def test_every_action_of_the_space_is_a_choice(space: spaces.Space[Any], sizes: list[int]) -> None:
    actions = Actions("x", space)
    assert isinstance(actions.space, spaces.MultiDiscrete)
    assert list(actions.space.nvec) == sizes
    grid = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(-1, len(sizes))
    native = [actions(row) for row in grid]
    assert all(space.contains(action) for action in native)
    assert len({action.tobytes() for action in native}) == int(np.prod(sizes))
    np.testing.assert_array_equal(actions.rows(grid), np.stack(native))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5), spaces.Dict({"a": spaces.Discrete(2)}), spaces.Box(0, 10**6, (2,), np.int64),
        spaces.MultiDiscrete([10_000, 2]), spaces.Box(0, 1, (0,)),
    ],
    ids=str,
)  # fmt: skip
def test_actions_that_nothing_drives(space: spaces.Space[Any]) -> None:
    with pytest.raises(TaskError):
        Actions("x", space)


def test_several_choices_are_independent() -> None:
    """Against the product distribution, enumerated; sampling by a chi-squared test at one in a million."""
    head, sizes = MultiCategorical([3, 2]), (3, 2)
    generator = torch.Generator().manual_seed(3)
    outputs, reference = (torch.randn(1, 5, 1, generator=generator) for _ in range(2))
    first, second = outputs[0, :3, 0].softmax(0), outputs[0, 3:, 0].softmax(0)
    joint = torch.outer(first, second).flatten().double()
    other = torch.outer(reference[0, :3, 0].softmax(0), reference[0, 3:, 0].softmax(0)).flatten().double()
    actions = torch.cartesian_prod(torch.arange(3), torch.arange(2))[None]  # [1, 6, 2]
    many = outputs.expand(1, 5, 6), actions, reference.expand(1, 5, 6)
    log_probs, entropy, divergence = head.evaluate(*many)
    torch.testing.assert_close(log_probs[0].double(), joint.log(), atol=1e-6, rtol=0)
    torch.testing.assert_close(head.log_prob(many[0], actions), log_probs)
    torch.testing.assert_close(entropy[0, 0].double(), -(joint * joint.log()).sum(), atol=1e-6, rtol=0)
    torch.testing.assert_close(divergence[0, 0].double(), (joint * (joint / other).log()).sum(), atol=1e-6, rtol=0)
    n = 60_000
    noise = torch.from_numpy(head.noise(np.random.default_rng(1), n, 1))[None, :, 0]
    drawn = head.sample(outputs.expand(1, 5, n), noise, None)[0]
    counts = torch.bincount(drawn[:, 0] * sizes[1] + drawn[:, 1], minlength=6).double()
    assert float(((counts - n * joint).square() / (n * joint)).sum()) < 35.9  # chi-squared, 5 degrees, 1e-6
    greedy = head.sample(outputs.expand(1, 5, 4), noise[:, :4], torch.ones(4, dtype=torch.bool))
    assert greedy.unique(dim=1).tolist() == [[[int(first.argmax()), int(second.argmax())]]]


def test_one_choice_is_the_plain_distribution() -> None:
    one, plain = MultiCategorical([4]), Categorical(4)
    outputs = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    noise = one.noise(np.random.default_rng(0), 8, 1)[:, 0]
    both = torch.from_numpy(np.stack([noise, noise]))
    actions = one.sample(outputs, both, None)
    assert torch.equal(actions[..., 0], plain.sample(outputs, both[..., 0], None))
    assert torch.equal(one.log_prob(outputs, actions), plain.log_prob(outputs, actions[..., 0]))


class Knobs(gymnasium.Env[Any, Any]):
    """Pays for the knobs that stand where they should, and sees them."""

    observation_space = spaces.Dict({"knobs": spaces.MultiDiscrete([3, 3])})
    action_space = spaces.MultiDiscrete([3, 3], start=[1, 1])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return {"knobs": np.array([0, 0])}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return {"knobs": np.asarray(action) - 1}, float((np.asarray(action) == 3).sum()), True, False, {}


def test_an_environment_gets_what_its_space_holds() -> None:
    space = Knobs.observation_space
    flat = FlatEnvironment("knobs", Knobs(), Observations("knobs", space), Actions("knobs", Knobs.action_space))
    flat.reset(seed=0)
    row, reward, *_ = flat.step(np.array([2, 1]))
    assert reward == 1.0
    np.testing.assert_array_equal(row, [0, 0, 1, 0, 1, 0])
