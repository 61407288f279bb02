"""Which format a file has, how it is read, and the default names of its columns."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.exchange.event_files import read_event_files
from haepo_bench.exchange.files import read_bytes, read_start, without_gz
from haepo_bench.exchange.logs import is_metric, read_metrics, read_progress, read_rllib
from haepo_bench.exchange.mapping import Format, Settings
from haepo_bench.exchange.rows import Rows, read_csv, read_json_lines, read_trainer_state
from haepo_bench.exchange.sb3 import read_evaluations, read_monitor

#: Names that a column may have, best first: of several of one group it is unclear which is meant. `*` is anything.
Names = tuple[tuple[str, ...], ...]


class Convention(NamedTuple):
    """What is usual in files of a format.

    Args:
        columns: our column to the names that it may have; one of them must be there for the first two.
        together: files of one folder are one run's: environments, restarts or metrics.
        greedy: names of returns that are those of the greedy policy.
        window: logged returns that a return is the mean of; None for the one.
        repeated: which of several values at one step counts.
    """

    columns: Mapping[str, Names]
    together: bool = False
    greedy: tuple[str, ...] = ()
    window: int | None = None
    repeated: Literal["error", "last"] = "error"


_STEPS: Names = (
    ("env_steps",),
    ("timesteps", "total_timesteps", "num_timesteps", "global_step", "_step", "step"),
    # W&B's tables.
    ("Step",),
)
_TABLE: dict[str, Names] = {
    "env_steps": _STEPS,
    "eval_return": (("eval_return",), ("* - eval_return",)),
    "wall_seconds": (("wall_seconds",), ("_runtime",)),
}
_OWN: dict[str, Names] = {"env_steps": (("env_steps",),), "eval_return": (("eval_return",),)}
_TAGS: Names = (("eval_return",), ("eval/mean_reward", "rollout/ep_rew_mean", "charts/episodic_return"))

CONVENTIONS: dict[Format, Convention] = {
    "csv": Convention(_TABLE),
    "jsonl": Convention(_TABLE),
    "trainer-state": Convention(
        {"env_steps": (("step",),), "eval_return": (("eval_reward",), ("reward", "rewards/mean"))}
    ),
    "monitor": Convention(_OWN, together=True, window=100),
    "evaluations": Convention(_OWN, greedy=("eval_return",)),
    "tensorboard": Convention({"env_steps": (("step",),), "eval_return": _TAGS}, together=True, repeated="last"),
    "rllib": Convention(
        {
            "env_steps": (
                ("num_env_steps_sampled_lifetime",),
                ("env_runners.num_env_steps_sampled_lifetime",),
                ("timesteps_total",),
                ("num_env_steps_sampled",),
            ),
            "eval_return": (
                ("evaluation.env_runners.episode_return_mean",),
                ("evaluation.episode_reward_mean",),
                ("env_runners.episode_return_mean",),
                ("episode_reward_mean",),
            ),
            "wall_seconds": (("time_total_s",),),
            "seed": (("config.seed",),),
        }
    ),
    # Source: spinup/algos/pytorch, which tests the deterministic policy.
    "spinning-up": Convention(
        {
            "env_steps": (("TotalEnvInteracts",),),
            "eval_return": (("AverageTestEpRet",), ("AverageEpRet",)),
            "wall_seconds": (("Time",),),
        },
        greedy=("AverageTestEpRet",),
    ),
    "mlflow": Convention(
        {"env_steps": (("env_steps",), ("step",)), "eval_return": (*_TAGS, ("*return*", "*reward*"))},
        together=True,
        repeated="last",
    ),
}

#: Columns that are taken as they are called where a file has them.
SAME_NAME = (
    "gradient_steps",
    "episodes",
    "wall_seconds",
    "cpu_seconds",
    "eval_return_greedy",
    "eval_return_std",
    "train_return",
    "policy_entropy",
    "kl_previous",
    "effective_sample_size",
    "gradient_norm",
    "loss",
    "state_coverage",
    "reward_alignment",
)


_EVALUATIONS = re.compile(r"evaluations[^/]*\.npz")
_MONITOR_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*#[ \t]*\{")


def detect(path: Path) -> Format | None:
    """The format of a file by its name, and where that leaves it open by how it begins; None for anything else."""
    name = without_gz(path)
    suffix = Path(name).suffix
    if ".tfevents." in name:
        return "tensorboard"
    if _EVALUATIONS.fullmatch(name):
        return "evaluations"
    if name == "progress.txt":
        return "spinning-up"
    if suffix in {".jsonl", ".ndjson"}:
        return "jsonl"
    if suffix in {".csv", ".tsv"}:
        start = read_start(path)
        is_monitor = _MONITOR_START.match(start) or (not start and name.endswith("monitor.csv"))
        return "monitor" if is_monitor else "csv"
    start = read_start(path) if suffix == ".json" or "metrics" in path.parts else b""
    if suffix == ".json" and start.lstrip().startswith(b"["):
        return "jsonl"
    if name == "trainer_state.json" or (suffix == ".json" and b'"log_history"' in start):
        return "trainer-state"
    if name == "result.json":
        return "rllib"
    return "mlflow" if is_metric(path, start) else None


def read(form: Format, paths: tuple[Path, ...], settings: Settings) -> Rows:
    """Reads the files of one run, or one file of several.

    Raises:
        UserError: a file is not what its format says; the message names file and line.
    """
    where = str(paths[0])
    if form == "monitor":
        return read_monitor([(read_bytes(path), str(path)) for path in paths])
    if form == "tensorboard":
        return read_event_files(paths, str(paths[0].parent))
    if form == "mlflow":
        return read_metrics(paths)
    if form == "evaluations":
        return read_evaluations(read_bytes(paths[0]), where, only_finite=settings.nan == "missing")
    readers = {
        "csv": read_csv,
        "jsonl": read_json_lines,
        "trainer-state": read_trainer_state,
        "rllib": read_rllib,
        "spinning-up": read_progress,
    }
    return readers[form](read_bytes(paths[0]), where)


def resolve_columns(form: Format, rows: Rows, said: dict[str, str], where: str) -> dict[str, str]:
    """Our columns to those of the file: as the settings say, else as is usual.

    Raises:
        UserError: a column is not there, holds two values in one row, or it is unclear which one is meant.
    """
    available = ", ".join(list(rows.columns)[:40])
    for ours, theirs in said.items():
        if theirs not in rows.columns:
            raise UserError(f"has no column '{theirs}' for {ours}", where=where, remedy=f"its columns are: {available}")
    found = dict(said)
    for ours, names in CONVENTIONS[form].columns.items():
        if ours in found:
            continue
        needed = ours in ("env_steps", "eval_return")
        candidates = _best(names, rows, or_empty=needed)
        if not candidates and not needed:
            continue
        if len(candidates) != 1:
            kind = "several columns that may be" if candidates else "no column that is known to be"
            listed = f" ({', '.join(candidates)})" if candidates else ""
            raise UserError(
                f"has {kind} {ours}{listed}",
                where=where,
                remedy=f"say which: columns: {{{ours}: ...}} in the mapping, or --column {ours}=...; "
                f"its columns are: {available}",
            )
        found[ours] = candidates[0]
    for name in (*SAME_NAME, "task", "algorithm", "seed"):
        if name in rows.columns:
            found.setdefault(name, name)
    for theirs in found.values():
        if theirs in rows.clashes:
            raise UserError(
                f"has two values of the name '{theirs}' in one row",
                where=rows.clashes[theirs],
                remedy="a name with points and an object inside another read alike: rename one of the two",
            )
    return found


def _best(names: Names, rows: Rows, *, or_empty: bool) -> list[str]:
    """The columns of the first group of which one has a value.

    Args:
        or_empty: whether columns without a value will do where there are no others.
    """
    empty: list[str] = []
    for group in names:
        known = [
            name
            for pattern in group
            for name in ([pattern] if pattern in rows.columns else [])
            + ([name for name in rows.columns if fnmatchcase(name, pattern)] if "*" in pattern else [])
        ]
        filled = [name for name in dict.fromkeys(known) if any(value is not None for value in rows.columns[name])]
        if filled:
            return filled
        empty = empty or list(dict.fromkeys(known))
    return empty if or_empty else []
