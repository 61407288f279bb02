"""Blocks of seeds: as many at a time as memory allows, and the same runs however they are divided."""

import subprocess
import sys
import textwrap

import pytest
from training_support import train, without_clocks

from haepo_bench.training import blocks as module
from haepo_bench.training.blocks import blocks


@pytest.mark.parametrize("seeds", [1, 2, 7, 16, 17, 200])
@pytest.mark.parametrize("steps", [1, 8_192, 10**9])
def test_every_seed_is_in_one_block_and_blocks_are_alike(seeds, steps):
    divided = blocks(range(100, 100 + seeds), steps, 150)
    assert [seed for block in divided for seed in block] == list(range(100, 100 + seeds))
    sizes = {len(block) for block in divided}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert max(sizes) == 1 or max(sizes) * steps * (module.STEP_BYTES + 600) <= module.ROOM


@pytest.mark.parametrize(
    ("name", "task", "settings"),
    [
        ("reinforce", "gym/CartPole-v1", {"trajectories": 3, "hidden": [9, 5]}),
        ("ppo-batched", "random-walk/8", {"n_steps": 32, "n_envs": 2}),
        ("uniform", "random-walk/8", {}),
    ],
)
def test_a_run_is_the_same_in_any_block(name, task, settings, monkeypatch):
    whole = train(name, task, [0, 1, 2, 3, 4], 400, 100, **settings)
    monkeypatch.setattr(module, "ROOM", 1)
    apart = train(name, task, [0, 1, 2, 3, 4], 400, 100, **settings)
    assert list(apart) == [0, 1, 2, 3, 4]
    assert all(without_clocks(apart[seed]) == without_clocks(whole[seed]) for seed in whole)


PEAK = """
    import torch
    from haepo_bench import catalogue
    from haepo_bench.training.recorder import Recorder, peak_memory_bytes

    torch.set_num_threads(1)
    task = catalogue.task("gym/Pendulum-v1")
    algorithm = catalogue.algorithm("haepo-listwise").configure({"trajectories": 64, "epochs": 1}, task)
    seeds = range(80)
    recorder = Recorder(seeds, budget=25_600, every=25_600, episodes=1)
    before = peak_memory_bytes()
    algorithm.train(task, seeds, recorder, device="cpu")
    print((peak_memory_bytes() - before) / 2**20)
"""


def test_memory_is_bounded_at_any_number_of_seeds():
    """80 seeds of 64 episodes of 200 steps, all as long as can be: 330 MiB at once, and no more than the room here."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < module.ROOM / 2**20
