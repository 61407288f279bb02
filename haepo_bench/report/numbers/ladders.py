"""Ladders: the largest size of a task that half of the seeds solve, which compares over sizes where scores do not."""

import re
from collections import defaultdict

import numpy as np

from haepo_bench.report.document_ladders import Ladder, LadderPlace, LadderStep
from haepo_bench.report.document_numbers import CONFIDENCE, RunCount
from haepo_bench.statistics.ladders import highest_rung
from haepo_bench.text import plain
from haepo_bench.verdicts.measured import Table, innermost, is_control

#: Families whose variant is a size, and ids of MiniGrid's with one: what is before the size, the size, what is behind.
_SIZES = (
    re.compile(r"((?:corridor|deep-sea|key-door|maze|random-walk|t-maze|umbrella)/)([0-9]+)()"),
    re.compile(r"(gym/MiniGrid-DoorKey-)([0-9]+)(x[0-9]+-v[0-9]+)"),
    re.compile(r"(gym/MiniGrid-KeyCorridorS[0-9]+R)([0-9]+)(-v[0-9]+)"),
)


def ladders(table: Table, threshold: float) -> list[Ladder]:
    """Of every family of tasks that the suite has in two sizes or more, with the same wrappers around them.

    Args:
        threshold: final score from which on a run has solved its task.
    """
    sizes: dict[str, dict[int, str]] = defaultdict(dict)
    for task in dict.fromkeys(task for task, _ in table):
        found = _size(task)
        if found is not None and not is_control(task):
            sizes[found[0]][found[1]] = task
    made = []
    for name, tasks in sizes.items():
        ordered = {size: tasks[size] for size in sorted(tasks)}
        algorithms = dict.fromkeys(
            algorithm for (task, algorithm), own in table.items() if task in tasks.values() and own.has("final_score")
        )
        if len(tasks) > 1 and algorithms:
            places = [_place(table, algorithm, ordered, threshold) for algorithm in algorithms]
            made.append(Ladder(name=plain(name), sizes=list(ordered), threshold=threshold, places=places))
    return made


def _size(task: str) -> tuple[str, int] | None:
    """(address with <n> in place of the size, the size); None for tasks without one."""
    inner = innermost(task)
    for pattern in _SIZES:
        match = pattern.fullmatch(inner)
        if match is not None:
            before, size, behind = match.groups()
            behind = re.sub(f"^x{size}-", "x<n>-", behind)
            return task.replace(inner, f"{before}<n>{behind}", 1), int(size)
    return None


def _place(table: Table, algorithm: str, tasks: dict[int, str], threshold: float) -> LadderPlace:
    steps, solved = [], []
    for size, task in tasks.items():
        own = table.get((task, algorithm))
        scores = own.values["final_score"] if own is not None and own.has("final_score") else np.zeros(0)
        won = scores[~np.isnan(scores)] >= threshold
        solved.append(won)
        if own is not None and len(won):
            runs = RunCount(shown=own.shown, planned=own.planned)
            steps.append(LadderStep(task=plain(task), size=size, solved=int(won.sum()), runs=runs))
    sizes = [None, *tasks]
    highest, low, high = (sizes[place + 1] for place in highest_rung(solved, confidence=CONFIDENCE))
    return LadderPlace(algorithm=plain(algorithm), largest=highest, low=low, high=high, steps=steps)
