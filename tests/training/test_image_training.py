"""Training on images: the encoder that is chosen, a seed's bytes, memory, and Stable-Baselines3's side of it."""

import json
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from image_support import corners, noise
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError
from haepo_bench.policies import convolutional
from haepo_bench.policies.network import Seen
from haepo_bench.tasks.base import Task
from haepo_bench.training import blocks
from haepo_bench.training.encoders import described, fitting, inputs_of

STACK = spaces.Box(0, 255, (4, 84, 84), np.uint8)
FEW = {"trajectories": 3, "epochs": 2}
SEGMENTS = {"n_envs": 3, "n_steps": 8, "n_epochs": 2, "batch_size": 10}


def configured(name: str, task: Task, **parameters: Any) -> Any:
    return catalogue.algorithm(name).configure(parameters, task)


@pytest.mark.parametrize(
    ("name", "layers"), [("reinforce", "hidden"), ("ppo-batched", "net_arch"), ("ppo", "net_arch")]
)
def test_the_encoder_follows_from_the_observations_and_is_part_of_the_settings(name: str, layers: str) -> None:
    small, large, none = corners(), noise(STACK), catalogue.task("gym/CartPole-v1")
    made = {task.id: configured(name, task) for task in (small, large, none)}
    found = {key: (a.parameters["encoder"], a.parameters[layers], "encoder" in a.omitted) for key, a in made.items()}
    assert found == {
        "test/corners": ("minatar", [], False),
        "test/noise": ("nature", [], False),
        "gym/CartPole-v1": ("none", [64, 64], True),
    }
    assert made["test/corners"].engines(small, "cpu") == ("torch",)
    flat = configured(name, small, encoder="none")
    assert (flat.parameters[layers], "encoder" in flat.omitted) == ([64, 64], True)
    deep = configured(name, small, **{layers: [8]})
    assert (deep.parameters["encoder"], deep.parameters[layers]) == ("minatar", [8])
    assert configured(name, large, encoder="minatar").parameters["encoder"] == "minatar"


@pytest.mark.parametrize("name", ["grpo", "ppo-batched", "ppo"])
@pytest.mark.parametrize(
    ("task", "parameters", "says"),
    [
        (noise(STACK), {"encoder": "none"}, "(?s)28,224 pixels.*the default is nature"),
        (corners(), {"encoder": "nature"}, r"needs 36 pixels a side at least; test/corners shows 10 x 10 pixels"),
        (catalogue.task("gym/CartPole-v1"), {"encoder": "minatar"}, "does not show images, but 4 numbers"),
        (corners(), {"encoder": "resnet"}, "encoder is none | minatar | nature"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(name: str, task: Task, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says) as caught:
        configured(name, task, **parameters)
    assert caught.value.parameter == "encoder"


def test_batches_that_memory_does_not_hold_are_refused() -> None:
    large = noise(STACK)
    large.horizon = 27_000
    with pytest.raises(ParameterError, match=r"27,000|432,000 steps.*11\.4 GiB"):
        configured("reinforce", large)
    configured("reinforce", large, trajectories=2)
    with pytest.raises(ParameterError, match=r"never normalised one by one"):
        configured("ppo-batched", large, normalize=True)
    with pytest.raises(ParameterError, match="n_steps"):
        configured("ppo-batched", large, n_steps=20_000)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("haepo-weighted", {**FEW, "score": "ratio"}),
        ("grpo", {**FEW, "hidden": [5]}),
        ("ppo-batched", {**SEGMENTS, "net_arch": [6], "target_kl": 1e-4}),
    ],
)
def test_a_run_is_the_same_alone_among_others_and_in_any_block(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = corners(6)
    among = train(name, task, [0, 1, 2], 40, 20, **settings)
    alone = train(name, task, [1], 40, 20, **settings)
    assert without_clocks(among[1]) == without_clocks(alone[1])
    assert without_clocks(among[1]) != without_clocks(among[2])
    # One seed at a time; nothing kept for the backward pass; seeds in groups of one.
    monkeypatch.setattr(blocks, "ROOM", 1)
    monkeypatch.setattr(convolutional, "_KEPT_NUMBERS", 0)
    monkeypatch.setattr(convolutional, "_GROUP_NUMBERS", 1)
    apart = train(name, task, [0, 1, 2], 40, 20, **settings)
    assert all(without_clocks(apart[seed]) == without_clocks(among[seed]) for seed in among)


def test_runs_on_large_images_are_the_same_alone_and_among_others() -> None:
    task = noise(spaces.Box(0, 255, (2, 36, 36), np.uint8))
    for name, settings in (("reinforce", FEW), ("ppo-batched", SEGMENTS)):
        among = train(name, task, [0, 1], 40, 40, **settings)
        assert without_clocks(among[1]) == without_clocks(train(name, task, [1], 40, 40, **settings)[1])


@pytest.mark.parametrize(
    "space", [spaces.Box(0, 255, (6, 6, 3), np.uint8), spaces.Box(-1.0, 3.0, (3, 6, 6), np.float32)]
)
def test_pixels_are_kept_as_bytes_where_they_are_bytes(space: spaces.Box) -> None:
    task = noise(space)
    assert task.observation_dtype is (np.uint8 if space.dtype == np.uint8 else np.float32)
    for name, settings in (("reinforce", FEW), ("ppo-batched", SEGMENTS)):
        (result,) = train(name, task, [0], 40, 40, **settings).values()
        assert result.status == "done"


def test_stable_baselines3_has_the_same_encoder() -> None:
    """With the filters of a native policy its extractor makes the same of images."""
    from haepo_bench.training.sb3.extractor import EncoderExtractor

    task = noise(spaces.Box(0, 255, (37, 36, 3), np.uint8))
    seen = inputs_of(task, "nature")
    assert isinstance(seen, Seen)
    extractor = EncoderExtractor(task.observation_space, seen.encoder, seen.pixels)
    network = convolutional.ConvolutionalNetwork(seen.encoder, seen.pixels, (), torch_head())
    parameters = torch.from_numpy(network.initial(np.random.default_rng(0)))
    named = network.named(parameters)
    arrays = [named[f"filter{part}_{n}"] for n in range(3) for part in ("s", "_bias")]
    arrays += [named["encoder_weight"], named["encoder_bias"]]
    own = [torch.from_numpy(array) for array in arrays]
    assert [p.shape for p in extractor.parameters()] == [array.shape for array in own]
    with torch.no_grad():
        for parameter, array in zip(extractor.parameters(), own, strict=True):
            parameter.copy_(array)
        rows = torch.randint(0, 256, (8, 37 * 36 * 3), generator=torch.Generator().manual_seed(0)).float()
        outputs = network.outputs(network.fold(parameters[None]), rows.T[None])[0].T
        theirs = extractor(rows) @ torch.from_numpy(named["weight_0"]).T
    assert torch.allclose(outputs, theirs, atol=1e-5)


def torch_head() -> Any:
    from haepo_bench.policies.heads import Categorical

    return Categorical(4)


def test_stable_baselines3_has_as_many_parameters_as_the_native_actor_critic() -> None:
    counts = {}
    for name in ("ppo", "ppo-batched"):
        kept: dict[str, Any] = {}
        recorder = keeping(kept)
        task = corners(6)
        configured(name, task, n_envs=2, n_steps=8, batch_size=8, n_epochs=1).train(task, [0], recorder, device="cpu")
        # Stable-Baselines3 names the policy's extractor twice.
        counts[name] = sum(array.size for key, array in kept.items() if not key.startswith("features_extractor"))
    assert counts["ppo"] == counts["ppo-batched"]


def keeping(kept: dict[str, Any]) -> Any:
    from haepo_bench.training.recorder import Recorder

    return Recorder([0], budget=16, every=16, episodes=1, on_policy=lambda seed, state: kept.update(state))


def test_the_description_names_layers() -> None:
    image = noise(STACK).image
    assert image is not None
    assert fitting(image) == "nature"
    assert described(image).startswith("nature: 32 filters 8 x 8, 64 filters 4 x 4, 64 filters 3 x 3, 512 units")
    assert json.dumps(image.described) == '"84 x 84 pixels of 4 channels"'


PEAK = """
    import sys
    sys.path.insert(0, "tests")
    import numpy as np, torch
    from gymnasium import spaces
    from image_support import noise
    from haepo_bench import catalogue
    from haepo_bench.training.recorder import Recorder, peak_memory_bytes

    torch.set_num_threads(1)
    task = noise(spaces.Box(0, 255, (4, 84, 84), np.uint8))
    settings = {"trajectories": 32, "epochs": 1}
    algorithm = catalogue.algorithm("reinforce").configure(settings, task)
    recorder = Recorder(range(4), budget=96, every=96, episodes=1)
    before = peak_memory_bytes()
    algorithm.train(task, range(4), recorder, device="cpu")
    print((peak_memory_bytes() - before) / 2**20)
"""


@pytest.mark.slow
def test_memory_is_bounded_at_any_number_of_seeds() -> None:
    """4 seeds of 32 episodes of 3 steps of 28,224 pixels; 4 networks, their Adam and gradients are 160 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 400
