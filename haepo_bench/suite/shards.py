"""A plan divided among machines that know nothing of each other.

The division follows from the plan alone: what a store has, lacks or measured never matters, so that all machines agree
on it. A shard is a plan itself; it declares what the whole plan declares.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from haepo_bench.errors import UserError
from haepo_bench.results.identity import CellKey
from haepo_bench.results.store import SHARDS_FOLDER
from haepo_bench.suite.plan import Cell, Plan

#: Training env steps per second of one worker, evaluation included, where nothing was ever measured: the middle of what
#: the native algorithms (which train a job's seeds as one batch and share the rate) and PPO reach on small tasks with
#: one core of 2024; single tasks lie a factor of three to both sides.
STEPS_A_SECOND_BATCHED = 10_000
STEPS_A_SECOND_SINGLE = 2_500

MOST_SHARDS = 10_000


@dataclass(frozen=True)
class Shard:
    """One of several equal parts.

    Args:
        number: from 1 on.
        of: number of shards.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """A shard as it is written, `3/16`.

        Raises:
            UserError: it is not written so, or there is no such shard.
        """
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        number, of = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= number <= of <= MOST_SHARDS:
            raise UserError(
                f"there is no shard '{text}'",
                where="--shard",
                remedy=f"write K/N, the K-th of N shards: 1/16, ..., 16/16 (at most {MOST_SHARDS})",
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """Where the shard's results are, in the suite's folder."""
        return f"{SHARDS_FOLDER}/{self.number}-of-{self.of}"


def share(plan: Plan, shard: Shard) -> Plan:
    """The shard's runs of a plan: cells with some of their seeds."""
    seeds: dict[CellKey, set[int]] = defaultdict(set)
    for (key, seed), number in shard_numbers(plan, shard.of).items():
        if number == shard.number:
            seeds[key].add(seed)
    return replace(
        plan,
        cells=tuple(
            replace(cell, seeds=tuple(seed for seed in cell.seeds if seed in seeds[cell.key]))
            for cell in plan.cells
            if cell.key in seeds
        ),
        whole=plan.declared_cells,
    )


def shard_numbers(plan: Plan, shards: int) -> dict[tuple[CellKey, int], int]:
    """For each run of a plan (cell and seed) the number of its shard, from 1 on."""
    keys = [(cell.key, seed) for cell in plan.cells for seed in cell.seeds]
    costs = [cost_of(cell) for cell in plan.cells for _ in cell.seeds]
    return {key: number + 1 for key, number in zip(keys, deal(keys, costs, shards), strict=True)}


def rated_seconds(cell: Cell) -> float:
    """What a run of a cell takes at the built-in rate, on every machine the same."""
    return cost_of(cell) / STEPS_A_SECOND_BATCHED


def share_of_cells(cells: Sequence[Cell], shard: Shard) -> list[Cell]:
    """The shard's cells, each with all of its seeds; for what must be decided cell by cell."""
    dealt = deal([cell.key for cell in cells], [cost_of(cell) for cell in cells], shard.of)
    return [cell for cell, number in zip(cells, dealt, strict=True) if number == shard.number - 1]


def cost_of(cell: Cell) -> int:
    """What a run of a cell takes, in units that are the same for all cells."""
    rate = STEPS_A_SECOND_BATCHED if cell.batches_seeds else STEPS_A_SECOND_SINGLE
    return cell.budget * (STEPS_A_SECOND_BATCHED // rate)


#: What is dealt: cells, runs, or replicates of searches.
_Key = TypeVar("_Key", CellKey, tuple[CellKey, int], tuple[str, int])


def deal(keys: Sequence[_Key], costs: Sequence[int], shards: int) -> list[int]:
    """For each item the number of its shard, from 0 on.

    The costliest first, each to the shard that has least. Items of one cost are interchangeable in that: of these each
    shard takes its number in the order of their keys, so that the seeds of a cell, which may train as one batch, stay
    together.
    """
    loads = [(0, number) for number in range(shards)]
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for cost in sorted(costs, reverse=True):
        load, number = loads[0]
        counts[cost][number] += 1
        heapq.heapreplace(loads, (load + cost, number))
    takers = {cost: iter(sorted(counted.elements())) for cost, counted in counts.items()}
    dealt = [0] * len(keys)
    for index in sorted(range(len(keys)), key=lambda index: keys[index]):
        dealt[index] = next(takers[costs[index]])
    return dealt
