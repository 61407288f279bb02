"""What one run logged: the parts that it was logged in, joined, and what counts of several values at one step."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from haepo_bench.errors import UserError
from haepo_bench.exchange.sources import Found

#: Columns that count from the start of training: what a run cost.
CUMULATIVE = ("wall_seconds", "cpu_seconds", "gradient_steps", "episodes")


@dataclass(frozen=True)
class Logged:
    """Rows of one run, in the order in which they were logged.

    Args:
        raw: task and algorithm as the file or its path calls them.
        renamed: whether the algorithm's name could not be kept.
        names: our columns to the file's.
        steps: [row] env steps.
        places: [row] where it stands.
        columns: our column to its values, [row], None where the row says nothing.
        facts: what the file says, such as when the run started.
    """

    task: str
    algorithm: str
    seed: int
    raw: tuple[str, str]
    renamed: bool
    found: Found
    names: dict[str, str]
    steps: list[float]
    places: list[str]
    columns: dict[str, list[float | None]]
    facts: dict[str, Any]

    @property
    def who(self) -> str:
        """For messages."""
        return f"{self.algorithm} on {self.task}, seed {self.seed}"


def join(parts: Sequence[Logged]) -> Logged:
    """One run of its parts, each a file's; where steps go back within a file, another part begins.

    Raises:
        UserError: steps go back, and the run is not declared as resumed; or all of it would be forgotten.
    """
    if len(parts) > 1:
        parts = sorted(parts, key=lambda part: (str(part.facts.get("started", "")), _natural(part)))
    pieces = [piece for part in parts for piece in _pieces(part)]
    first = parts[0]
    whole = pieces[0] if pieces else first
    # A Monitor file has no steps, only the lengths of its episodes.
    restarted = first.found.source.resumed == "restarted" or first.found.format == "monitor"
    for piece in pieces[1:]:
        whole = _appended(whole, piece, restarted=restarted)
    files = dict.fromkeys(file for part in parts for file in part.found.files)
    return replace(whole, found=replace(first.found, files=tuple(files)), facts=_facts(parts))


def _natural(part: Logged) -> list[tuple[int, str]]:
    """PPO_2 comes before PPO_10."""
    texts = re.findall(r"[0-9]{1,18}|[^0-9]+", part.found.files[0].as_posix())
    return [(int(text), "") if text.isdecimal() else (-1, text) for text in texts]


def _pieces(part: Logged) -> list[Logged]:
    cuts = [i for i in range(1, len(part.steps)) if part.steps[i] < part.steps[i - 1]]
    if cuts and part.found.source.resumed == "error":
        before, after = part.steps[cuts[0] - 1], part.steps[cuts[0]]
        raise UserError(
            f"steps go back from {before:,.0f} to {after:,.0f} ({part.who})",
            where=part.places[cuts[0]],
            remedy="a run's steps increase: are these several runs? Then say which column or part of the path "
            "holds the seed; a run that was resumed: `resumed: continued` or `resumed: restarted`",
        )
    bounds = [0, *cuts, len(part.steps)]
    return [
        replace(
            part,
            steps=part.steps[start:stop],
            places=part.places[start:stop],
            columns={name: values[start:stop] for name, values in part.columns.items()},
        )
        for start, stop in pairwise(bounds)
        if stop > start
    ]


def _appended(whole: Logged, piece: Logged, *, restarted: bool) -> Logged:
    offset = whole.steps[-1] if restarted else 0.0
    steps = [step + offset for step in piece.steps]
    kept = len(whole.steps) if restarted else bisect_left(whole.steps, steps[0])
    if not kept:
        raise UserError(
            f"goes on at step {steps[0]:,.0f}, before anything that was logged ({piece.who})",
            where=piece.places[0],
            remedy="nothing is left of what it goes on from: if its steps begin again, say `resumed: restarted`; else "
            "leave out what came before",
        )
    columns = {}
    for name in dict.fromkeys([*whole.columns, *piece.columns]):
        before = whole.columns.get(name, [None] * len(whole.steps))[:kept]
        after = piece.columns.get(name, [None] * len(piece.steps))
        if name in CUMULATIVE:
            after = _counted_on(before, after, restarted=restarted)
        # The policy at the end of a part and at the start of the next is one: it counts once.
        if restarted and any(value is not None for value, step in zip(after, steps, strict=True) if step == offset):
            before = [None if step == offset else value for value, step in zip(before, whole.steps, strict=False)]
        columns[name] = [*before, *after]
    return replace(
        whole, steps=[*whole.steps[:kept], *steps], places=[*whole.places[:kept], *piece.places], columns=columns
    )


def _counted_on(
    before: Sequence[float | None], after: Sequence[float | None], *, restarted: bool
) -> list[float | None]:
    """A counter that began again goes on from where it stood."""
    last = next((value for value in reversed(before) if value is not None and np.isfinite(value)), 0.0)
    first = next((value for value in after if value is not None and np.isfinite(value)), 0.0)
    shift = last if restarted or first < last else 0.0
    return [None if value is None else value + shift for value in after]


def _facts(parts: Sequence[Logged]) -> dict[str, Any]:
    """Those of all parts: when the first began, and everything that is a list."""
    facts: dict[str, Any] = {}
    for part in parts:
        for name, value in part.facts.items():
            facts[name] = [*facts.get(name, []), *value] if isinstance(value, list) else facts.get(name, value)
    return facts


def one_a_step(
    steps: Sequence[float], values: Sequence[float], which: Literal["first", "last", "mean"]
) -> tuple[list[float], list[float]]:
    """[value] each, steps not decreasing -> [value] each, steps increasing."""
    if len(set(steps)) == len(steps):
        return list(steps), list(values)
    kept: dict[float, list[float]] = {}
    for step, value in zip(steps, values, strict=True):
        kept.setdefault(step, []).append(value)
    if which == "mean":
        return list(kept), [sum(own) / len(own) for own in kept.values()]
    return list(kept), [own[0 if which == "first" else -1] for own in kept.values()]
