"""From the rows of files to the curves of single runs."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import UserError
from haepo_bench.exchange.formats import CONVENTIONS, resolve_columns
from haepo_bench.exchange.logged import CUMULATIVE, Logged, join, one_a_step
from haepo_bench.exchange.mapping import MAX_SEED, is_name, is_task
from haepo_bench.exchange.numerals import number, whole_number
from haepo_bench.exchange.rows import Rows
from haepo_bench.exchange.sb3 import trailing_mean
from haepo_bench.exchange.sources import PLACEHOLDER, Found, seed_in
from haepo_bench.tasks.address import canonical
from haepo_bench.text import unquoted_csv_text

Array = NDArray[Any]

#: Under this key a run's facts, and with them its provenance, keep what the file calls an algorithm whose name could
#: not be kept.
ALGORITHM_IN_FILE = "algorithm_in_file"


@dataclass(frozen=True)
class Series:
    """One run's curve as it was logged.

    Args:
        label: how tables may name the algorithm, where its name could not be kept; else its name.
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
    label: str
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
        return said == "greedy" if said else self.column in CONVENTIONS[self.found.format].greedy

    @property
    def window(self) -> int | None:
        """Logged returns that a return is the mean of; None where it is the one."""
        return self.found.source.window or CONVENTIONS[self.found.format].window


def logged_runs(found: Found, rows: Rows, where: str) -> list[Logged]:
    """The runs in some rows; a row without a step belongs to none.

    Args:
        where: place of the source in the mapping, for what it does not say.

    Raises:
        UserError: what a row belongs to is unknown, or a number is none.
    """
    source = found.source
    names = resolve_columns(found.format, rows, source.columns, str(found.files[0]))
    runs: dict[tuple[str, str, int], Logged] = {}
    keys: dict[tuple[Any, ...], Logged] = {}
    belongs = [rows.columns[names[name]] if name in names else None for name in ("task", "algorithm", "seed")]
    numeric = {
        ours: rows.columns[theirs]
        for ours, theirs in names.items()
        if ours not in ("task", "algorithm", "seed", "env_steps")
    }
    steps = rows.columns[names["env_steps"]]
    for i, place in enumerate(rows.places):
        raw = tuple(values[i] if values else None for values in belongs)
        at = number(steps[i], place, names["env_steps"], source.decimal)
        if at is not None and at != at and source.nan == "missing":  # NaN
            at = None
        if at is None and any(values and _says_nothing(value) for values, value in zip(belongs, raw, strict=True)):
            continue
        if raw not in keys:
            keys[raw] = _run(found, names, raw, place, where, rows.facts)
            key = keys[raw].task, keys[raw].algorithm, keys[raw].seed
            before = runs.setdefault(key, keys[raw])
            _check_same(before, keys[raw], place)
            keys[raw] = before
            before.columns.update({name: before.columns.get(name, []) for name in numeric})
        if at is None:
            continue
        at *= source.step_size
        if not 0 <= at < 2**53:
            remedy = "say `nan: missing` for rows that are to be left out" if np.isnan(at) else ""
            raise UserError(f"{at:g} cannot be a number of env steps", where=place, remedy=remedy)
        run = keys[raw]
        run.steps.append(at)
        run.places.append(place)
        for name, values in numeric.items():
            run.columns[name].append(number(values[i], place, names[name], source.decimal))
    return list(runs.values())


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or str(value).strip().lower() == "nan"


def _check_same(one: Logged, other: Logged, place: str) -> None:
    for kind, before, now in zip(("task", "algorithm"), one.raw, other.raw, strict=True):
        if before != now:
            raise UserError(
                f"'{before[:60]}' and '{now[:60]}' are the same {kind} here ({one.who})",
                where=place,
                remedy="give them different names by `rename:` (--rename OLD=NEW)",
            )


def _run(
    found: Found, names: dict[str, str], raw: tuple[Any, ...], place: str, where: str, facts: dict[str, Any]
) -> Logged:
    """The run that a row is of, without its numbers: what its columns say, else the mapping's text, else the path."""
    source = found.source
    said: list[str] = []
    own_words: list[bool] = []
    for name, given, template in zip(
        ("task", "algorithm", "seed"), raw, (source.task, source.algorithm, source.seed), strict=True
    ):
        own_words.append(template is not None and PLACEHOLDER.search(str(template)) is None)
        if template is not None and name not in source.columns:
            said.append(found.fill(str(template), where))
            continue
        own_words[-1] = False
        if given is not None:
            said.append(unquoted_csv_text(str(given)))
        elif name in names:
            raise UserError(f"the column '{names[name]}' is empty, so the {name} is unknown", where=place)
        elif name in found.captured:
            said.append(found.captured[name])
        elif name == "seed" and (in_path := seed_in(found.files[0], found.format)) is not None:
            said.append(str(in_path))
        else:
            raise UserError(
                f"the {name} of these runs is unknown",
                where=where or str(found.files[0]),
                remedy=f"say `{name}:` (--{name}), name a column for it, or put {{{name}}} into the pattern of files",
            )
    task, algorithm = (source.rename.get(text, text) for text in said[:2])
    if not is_task(task):
        raise UserError(
            f"'{task[:60]}' cannot be an address of a task",
            where=place,
            remedy="an address is such as gym/CartPole-v1: " + _rename(said[0], "gym/CartPole-v1"),
        )
    name = algorithm if own_words[1] or said[1] in source.rename else _as_name(algorithm)
    if not is_name(name):
        raise UserError(
            f"'{algorithm[:60]}' cannot be a name of an algorithm",
            where=place,
            remedy=f"use letters, digits, '.', '_' and '-' only: {_rename(said[1], 'a-name')}, or say `algorithm:`",
        )
    seed = whole_number(said[2], 0, MAX_SEED, source.decimal)
    if seed is None:
        raise UserError(f"'{said[2][:40]}' is not a seed", where=place, remedy="a seed is a whole number from 0 on")
    return Logged(
        task=canonical(task),
        algorithm=name,
        seed=seed,
        raw=(said[0], said[1]),
        renamed=name != algorithm,
        found=found,
        names=names,
        steps=[],
        places=[],
        columns={},
        facts=facts,
    )


def _as_name(text: str) -> str:
    """`DQN (Nature)` is called DQN-Nature, `org/model-7b` org-model-7b."""
    return text if is_name(text) else re.sub("[^A-Za-z0-9._]+", "-", text).strip("-.")[:64]


def _rename(old: str, new: str) -> str:
    return f"rename it, `rename: {{{old[:60]!r}: {new}}}` (--rename '{old[:60]}={new}')"


def parts_of_runs(runs: Sequence[Logged]) -> list[list[Logged]]:
    """What the files of a source hold, by run: those of one that was resumed together."""
    parts: dict[Any, list[Logged]] = defaultdict(list)
    for i, run in enumerate(runs):
        resumed = run.found.source.resumed != "error"
        parts[run.task, run.algorithm, run.seed, None if resumed else i].append(run)
    return list(parts.values())


def series(parts: Sequence[Logged]) -> Series:
    """The curve of one run.

    Raises:
        UserError: steps go back or repeat and no setting says what that means, returns are not finite, or there are
        none.
    """
    for other in parts[1:]:
        _check_same(parts[0], other, str(other.found.files[0]))
    run = join(parts)
    source, convention = run.found.source, CONVENTIONS[run.found.format]
    window, repeated = source.window or convention.window, source.repeated or convention.repeated
    kept, broken = _finite_returns(run)
    if not kept and broken is None:
        raise UserError(
            f"no return is known at any step ({run.who})",
            where=run.places[-1] if run.places else str(run.found.files[0]),
            remedy=f"the column '{run.names['eval_return']}' is empty",
        )
    columns: dict[str, tuple[Array, Array]] = {}
    for name, values in run.columns.items():
        rows = kept if name == "eval_return" else _finite(values)
        steps = [run.steps[i] for i in rows]
        numbers = [value for value in (values[i] for i in rows) if value is not None]
        if window is not None and name in ("eval_return", "train_return") and numbers:
            numbers = trailing_mean(np.array(numbers), window).tolist()
        if repeated == "error" and name == "eval_return":
            _refuse_repeated(run, kept)
        # Counters have gone on; of what is not a return the last value counts where nobody says which.
        which = "last" if repeated == "error" or name in CUMULATIVE else repeated
        steps, numbers = one_a_step(steps, numbers, which)
        columns[name] = np.array(steps), np.array(numbers)
    steps_of_returns, returns = columns.pop("eval_return")
    facts = {**run.facts, **({ALGORITHM_IN_FILE: run.raw[1]} if run.renamed else {})}
    return Series(
        task=run.task,
        algorithm=run.algorithm,
        seed=run.seed,
        found=run.found,
        label=run.raw[1] if run.renamed else run.algorithm,
        column=run.names["eval_return"],
        steps=steps_of_returns,
        returns=returns,
        others={name: column for name, column in columns.items() if len(column[0])},
        broken_at=broken,
        facts=facts,
    )


def _finite(values: Sequence[float | None]) -> list[int]:
    return [i for i, value in enumerate(values) if value is not None and math.isfinite(value)]


def _finite_returns(run: Logged) -> tuple[list[int], float | None]:
    """Rows that hold a return, and the env steps at which it broke."""
    kept = []
    for i, value in enumerate(run.columns["eval_return"]):
        if value is None:
            continue
        if math.isfinite(value):
            kept.append(i)
        elif run.found.source.nan == "error":
            raise UserError(
                f"a return of {value} at {run.steps[i]:,.0f} env steps ({run.who})",
                where=run.places[i],
                remedy="say what that means: `nan: diverged` (the run broke there) or `nan: missing`",
            )
        elif run.found.source.nan == "diverged":
            return kept, run.steps[i]
    return kept, None


def _refuse_repeated(run: Logged, rows: Sequence[int]) -> None:
    for before, now in pairwise(rows):
        if run.steps[now] == run.steps[before]:
            raise UserError(
                f"two returns at {run.steps[now]:,.0f} env steps ({run.who})",
                where=run.places[now],
                remedy="one value per step: are these several runs? Then say which column holds the seed; else say "
                "which counts, `repeated: first`, `last` or `mean`",
            )
