"""Finite tasks stepped by the kernels, against the same tables stepped as arrays."""

import numpy as np
import pytest
import torch
from test_compiled_training import Engines

from haepo_bench import catalogue
from haepo_bench.engine import collector as kernels
from haepo_bench.engine.library import table_at
from haepo_bench.tasks.finite.table import StateTable
from haepo_bench.training.episodes.rollout import Collector
from haepo_bench.training.streams import stream

#: Among them several starts (random ones too), several actions, cut off episodes, measures of ends, goals.
TASKS = [
    "deep-sea/4",
    "deep-sea/10",
    "key-door/5",
    "random-walk/20",
    "corridor/16",
    "corridor/equal",
    "multi-goal/4",
    "maze/4",
]
PURPOSES = ("environment", "action noise")


@pytest.mark.parametrize("name", TASKS)
def test_episodes_are_those_of_the_tables(name: str) -> None:
    """The same policies and streams: bit for bit the same steps, ends, measures and visited states."""
    task = catalogue.task(name)
    both = Engines(task, catalogue.algorithm("reinforce").objective(), trajectories=5)
    engine = both.engines["compiled"]
    actor = engine.actor(both.parameters)
    mine = engine.collector(task, task.vector(5), 5)
    assert kernels.stepped(task.vector(5))
    theirs = Collector(task, task.vector(5), both.network.head, 5, 5)
    visited = [np.zeros((2, task.states), bool) if task.states else None for _ in range(2)]
    found = [
        collector.collect(actor, *([stream(p, seed) for seed in range(2)] for p in PURPOSES), visited=marks)
        for collector, marks in zip((mine, theirs), visited, strict=True)
    ]
    first, second = found
    steps, taken = int(second.lengths.max()), second.mask
    assert np.array_equal(first.lengths, second.lengths)
    assert np.array_equal(first.returns, second.returns)
    assert torch.equal(first.mask[..., :steps], taken)
    assert torch.equal(first.actions[:, :, :steps][taken], second.actions[taken])
    assert torch.equal(first.rewards[..., :steps], second.rewards)
    for seed in range(2):
        shown = [rollout.observations[seed][..., :steps][:, taken[seed]] for rollout in found]
        assert torch.equal(*shown)
    assert np.array_equal(*visited)
    assert task.states is None or visited[0].any(1).all()
    assert {n: v.tolist() for n, v in first.measures.items()} == {n: v.tolist() for n, v in second.measures.items()}
    # Played without keeping steps, some of them greedy, which count for no visit.
    greedy = np.array([False, True, False, True, True])
    for marks in visited if task.states else ():
        marks[:] = False
    first, second = (
        collector.play(actor, *([stream(p, seed) for seed in (3, 4)] for p in PURPOSES), greedy=greedy, visited=marks)
        for collector, marks in zip((mine, theirs), visited, strict=True)
    )
    assert np.array_equal(first.lengths, second.lengths)
    assert np.array_equal(first.returns, second.returns)
    assert {n: v.tolist() for n, v in first.measures.items()} == {n: v.tolist() for n, v in second.measures.items()}
    assert np.array_equal(*visited)


def test_tables_with_noise_and_tasks_that_remember_are_stepped_as_arrays() -> None:
    assert not kernels.stepped(catalogue.task("umbrella/10").vector(2))
    assert not kernels.stepped(catalogue.task("t-maze/10").vector(2))


def test_a_move_out_of_the_table_is_refused() -> None:
    table = StateTable(np.array([[0, 2]]), np.zeros((1, 2)), np.zeros(1, bool), np.zeros((1, 1), np.float32), horizon=1)
    with pytest.raises(ValueError, match="out of the 1 states"):
        table_at(table)
