"""A plan divided among machines: each run in one shard, whatever any of them knows beside the plan."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haepo_bench.errors import UserError
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.shards import Shard, share, share_of_cells

SUITE = """
name: trial
seeds: 3
evaluation: {every: 200, episodes: 2}
tasks: [{id: random-walk/20, budget: {env_steps: 500}}]
algorithms: [{use: reinforce}, {use: grpo}]
execution: {workers: 2, device: cpu}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("suite") / "suite.yaml"
    path.write_text(SUITE, encoding="utf-8")
    return load_plan(path)


def planned(plan: Plan, cells: list[tuple[int, bool, int]]) -> Plan:
    """A plan of cells with (budget, whether seeds train as one batch, number of seeds)."""
    some = plan.cells[0]
    made = [
        replace(some, task=f"task/{i}", budget=budget, batches_seeds=batched, seeds=tuple(range(seeds)))
        for i, (budget, batched, seeds) in enumerate(cells)
    ]
    return replace(plan, cells=tuple(made))


def cost(cell: Cell) -> int:
    """As documented: a quarter of the speed where seeds do not train as one batch."""
    return cell.budget * (1 if cell.batches_seeds else 4)


CELLS = st.lists(
    st.tuples(st.integers(1, 10**7), st.booleans(), st.integers(1, 12)),
    min_size=1,
    max_size=12,
)


@given(CELLS, st.integers(1, 20))
def test_every_run_is_in_one_shard_and_none_has_much_more_than_its_part(
    plan: Plan, cells: list[tuple[int, bool, int]], shards: int
) -> None:
    whole = planned(plan, cells)
    parts = [share(whole, Shard(number, shards)) for number in range(1, shards + 1)]
    runs = Counter((cell.key, seed) for part in parts for cell in part.cells for seed in cell.seeds)
    assert runs == Counter((cell.key, seed) for cell in whole.cells for seed in cell.seeds)
    loads = [sum(cost(cell) * len(cell.seeds) for cell in part.cells) for part in parts]
    costliest = max(cost(cell) for cell in whole.cells)
    # Graham's bound of list scheduling.
    assert max(loads) <= sum(loads) / shards + costliest * (1 - 1 / shards) + 1e-6 * costliest


def test_the_seeds_of_a_cell_stay_together(plan: Plan) -> None:
    whole = planned(plan, [(1000, True, 10)] * 8)
    for number in range(1, 5):
        part = share(whole, Shard(number, 4))
        assert [cell.seeds for cell in part.cells] == [tuple(range(10))] * 2
    # Three shards of 80 runs: 27, 27 and 26, with two cells cut in two.
    parts = [share(whole, Shard(number, 3)) for number in range(1, 4)]
    assert [part.runs for part in parts] == [27, 27, 26]
    assert sum(len(part.cells) for part in parts) == 8 + 2


def test_neither_code_nor_device_nor_order_changes_the_shares(plan: Plan) -> None:
    """Two machines with other versions, or one with a GPU, agree on who runs what."""
    whole = planned(plan, [(1000, True, 5), (3000, False, 4), (1000, True, 7), (200, False, 9)])
    elsewhere = replace(
        whole,
        cells=tuple(replace(cell, code_hash="f" * 64, settings_hash="0" * 64) for cell in reversed(whole.cells)),
    )
    for number in range(1, 4):
        here, there = (
            {(cell.key, seed) for cell in share(each, Shard(number, 3)).cells for seed in cell.seeds}
            for each in (whole, elsewhere)
        )
        assert here == there


def test_a_shard_declares_what_the_whole_declares(plan: Plan) -> None:
    parts = [share(plan, Shard(number, 4)) for number in range(1, 5)]
    assert {part.declaration for part in parts} == {plan.declaration}
    assert all(part.declared_cells == plan.cells for part in parts)


def test_whole_cells_are_dealt_as_well(plan: Plan) -> None:
    cells = planned(plan, [(100 * i, False, 3) for i in range(1, 10)]).cells
    parts = [share_of_cells(cells, Shard(number, 3)) for number in range(1, 4)]
    assert sorted(cell.task for part in parts for cell in part) == sorted(cell.task for cell in cells)
    # 9 + 4 + 3, 8 + 5 + 2 and 7 + 6 + 1.
    assert [sum(cell.budget for cell in part) for part in parts] == [1600, 1500, 1400]


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "-1/3", "1/0", "1/99999", "1//2", "a/b", "1/2/3", "1.0/2"])
def test_what_is_not_a_shard_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no shard"):
        Shard.parse(text)


def test_a_shard_as_it_is_written() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert str(Shard(3, 16)) == "3/16"
    assert Shard(3, 16).folder == "shards/3-of-16"
