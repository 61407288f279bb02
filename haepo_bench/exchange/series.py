"""From the rows of files to the curves of single runs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import UserError
from haepo_bench.exchange.formats import CONVENTIONS, resolve_columns
from haepo_bench.exchange.mapping import MAX_SEED, is_name, is_task
from haepo_bench.exchange.rows import Rows, number
from haepo_bench.exchange.sources import Found, seed_in
from haepo_bench.tasks.address import canonical
from haepo_bench.text import unquoted_csv_text

Array = NDArray[Any]


@dataclass(frozen=True)
class Series:
    """One run's curve as it was logged.

    Args:
        column: what the file calls the return.
        steps: [value] env steps at which the return is known, increasing.
        returns: [value], finite.
        others: our column to its own steps and values, both [value].
        broken_at: env steps from which on the return is NaN or infinite; None where it never is.
        facts: what the file says, such as when the run started.
    """

    task: str
    algorithm: str
    seed: int
    found: Found
    column: str
    steps: Array
    returns: Array
    others: dict[str, tuple[Array, Array]]
    broken_at: float | None
    facts: dict[str, Any]

    @property
    def place(self) -> str:
        """The first of its files."""
        return str(self.found.files[0])

    @property
    def greedy(self) -> bool:
        """Whether the returns are those of the greedy policy."""
        said = self.found.source.policy
        return said == "greedy" if said else CONVENTIONS[self.found.format].greedy


def series_of(found: Found, rows: Rows, where: str) -> list[Series]:
    """The runs in some rows.

    Args:
        where: place of the source in the mapping, for what it does not say.

    Raises:
        UserError: what a row belongs to is unknown, steps do not increase, numbers are none.
    """
    names = resolve_columns(found.format, rows, found.source.columns, str(found.files[0]))
    runs: dict[tuple[str, str, int], list[int]] = {}
    keys: dict[tuple[Any, ...], tuple[str, str, int]] = {}
    belongs = [_values(rows, names.get(name)) for name in ("task", "algorithm", "seed")]
    for i in range(len(rows)):
        raw = tuple(values[i] if values else None for values in belongs)
        if raw not in keys:
            keys[raw] = _key(found, names, raw, rows.places[i], where)
        runs.setdefault(keys[raw], []).append(i)
    return [_series(found, rows, names, key, indices) for key, indices in runs.items()]


def _values(rows: Rows, name: str | None) -> list[Any] | None:
    return rows.columns[name] if name else None


def _key(found: Found, names: dict[str, str], raw: tuple[Any, ...], place: str, where: str) -> tuple[str, str, int]:
    """Task, algorithm and seed of a row: what its columns say, else the mapping's text, else the path."""
    source = found.source
    said: list[str] = []
    for name, given, template in zip(
        ("task", "algorithm", "seed"), raw, (source.task, source.algorithm, source.seed), strict=True
    ):
        explicit = name in source.columns
        if template is not None and not explicit:
            said.append(found.fill(str(template), where))
        elif given is not None:
            said.append(unquoted_csv_text(str(given)))
        elif name in names:
            raise UserError(f"the column '{names[name]}' is empty, so the {name} is unknown", where=place)
        elif name in found.captured:
            said.append(found.captured[name])
        elif name == "seed" and (in_path := seed_in(found.files[0])) is not None:
            said.append(str(in_path))
        else:
            raise UserError(
                f"the {name} of these runs is unknown",
                where=where or str(found.files[0]),
                remedy=f"say `{name}:`, name a column for it, or put {{{name}}} into the pattern of files",
            )
    task, algorithm, seed = said
    if not is_task(task):
        raise UserError(
            f"'{task[:60]}' cannot be an address of a task", where=place, remedy="an address is such as gym/CartPole-v1"
        )
    if not is_name(algorithm):
        raise UserError(
            f"'{algorithm[:60]}' cannot be a name of an algorithm",
            where=place,
            remedy="use letters, digits, '.', '_' and '-' only: say `algorithm:` in the mapping",
        )
    return canonical(task), algorithm, _seed(seed, place)


def _seed(text: str, place: str) -> int:
    try:
        value = float(text)
        seed = int(text) if text.strip().isdigit() else int(value)
        if seed != value or not 0 <= seed <= MAX_SEED:
            raise ValueError
    except (ValueError, OverflowError):
        raise UserError(f"'{text[:40]}' is no seed", where=place, remedy="a seed is a whole number from 0 on") from None
    return seed


def _series(found: Found, rows: Rows, names: dict[str, str], key: tuple[str, str, int], indices: list[int]) -> Series:
    task, algorithm, seed = key
    who = f"{algorithm} on {task}, seed {seed}"
    size = found.source.step_size
    steps: list[float] = []
    returns: list[float] = []
    others: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in names if name not in ("task", "algorithm", "seed", "env_steps", "eval_return")
    }
    broken: float | None = None
    last = -np.inf
    place = rows.places[indices[0]]
    for i in indices:
        place = rows.places[i]
        at = number(rows.columns[names["env_steps"]][i], place, names["env_steps"])
        if at is None:
            continue
        at *= size
        if not 0 <= at < 2**53:
            raise UserError(f"{at:g} cannot be a number of env steps", where=place)
        if at < last:
            raise UserError(
                f"steps go back from {last:,.0f} to {at:,.0f} ({who})",
                where=place,
                remedy="a run's steps increase: are these several runs? Then say which column or part of the path "
                "holds the seed",
            )
        last = at
        for name, (own_steps, values) in others.items():
            value = number(rows.columns[names[name]][i], place, names[name])
            if value is not None and np.isfinite(value):
                own_steps.append(at)
                values.append(value)
        value = number(rows.columns[names["eval_return"]][i], place, names["eval_return"])
        if value is None or broken is not None:
            continue
        if not np.isfinite(value):
            if found.source.nan == "error":
                raise UserError(
                    f"a return of {value} at {at:,.0f} env steps ({who})",
                    where=place,
                    remedy="say what that means: `nan: diverged` (the run broke there) or `nan: missing`",
                )
            broken = at if found.source.nan == "diverged" else None
            continue
        if steps and at == steps[-1]:
            raise UserError(
                f"two returns at {at:,.0f} env steps ({who})",
                where=place,
                remedy="one value a step: are these several runs? Then say which column holds the seed",
            )
        steps.append(at)
        returns.append(value)
    if not steps and broken is None:
        raise UserError(
            f"no return is known at any step ({who})",
            where=place,
            remedy=f"the column '{names['eval_return']}' is empty",
        )
    return Series(
        task=task,
        algorithm=algorithm,
        seed=seed,
        found=found,
        column=names["eval_return"],
        steps=np.array(steps),
        returns=np.array(returns),
        others={name: (np.array(a), np.array(b)) for name, (a, b) in others.items() if a},
        broken_at=broken,
        facts=rows.facts,
    )
