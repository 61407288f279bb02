"""Which format a file has, how it is read, and what its columns are called where nobody says."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.exchange.event_files import read_event_files
from haepo_bench.exchange.mapping import Format
from haepo_bench.exchange.rows import Rows, read_bytes, read_csv, read_json_lines, read_trainer_state
from haepo_bench.exchange.sb3 import read_evaluations, read_monitor
from haepo_bench.files import open_regular, reason_of


class Convention(NamedTuple):
    """What is usual in files of a format.

    Args:
        together: files of one folder are one run's: one a vectorised environment, or one a restart.
        greedy: the evaluated policy is the greedy one.
        columns: our column to the names that it may have; one of them must be there for the first two.
    """

    together: bool
    greedy: bool
    columns: Mapping[str, tuple[str, ...]]


_STEPS = ("env_steps", "timesteps", "total_timesteps", "num_timesteps", "global_step", "_step", "step")
_CLOCK = ("wall_seconds", "_runtime")
_OWN = {"env_steps": ("env_steps",), "eval_return": ("eval_return",)}

CONVENTIONS: dict[Format, Convention] = {
    "csv": Convention(False, False, {"env_steps": _STEPS, "eval_return": ("eval_return",), "wall_seconds": _CLOCK}),
    "jsonl": Convention(False, False, {"env_steps": _STEPS, "eval_return": ("eval_return",), "wall_seconds": _CLOCK}),
    "trainer-state": Convention(
        False, False, {"env_steps": ("step",), "eval_return": ("eval_reward", "reward", "rewards/mean")}
    ),
    "monitor": Convention(True, False, _OWN),
    "evaluations": Convention(False, True, _OWN),
    "tensorboard": Convention(
        True,
        False,
        {
            "env_steps": ("step",),
            "eval_return": ("eval_return", "eval/mean_reward", "rollout/ep_rew_mean", "charts/episodic_return"),
        },
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


def detect(path: Path) -> Format | None:
    """The format of a file by its name, and where that leaves it open by how it begins; None for anything else."""
    name = path.name.lower()
    if ".tfevents." in name:
        return "tensorboard"
    if name == "evaluations.npz":
        return "evaluations"
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return "jsonl"
    if path.suffix.lower() not in {".csv", ".tsv", ".json"}:
        return None
    try:
        with open_regular(path) as file:
            start = file.read(4096)
    except OSError as error:
        raise UserError(f"cannot be read: {reason_of(error)}", where=str(path)) from None
    if path.suffix.lower() != ".json":
        return "monitor" if start.startswith(b"#{") else "csv"
    if start.lstrip().startswith(b"["):
        return "jsonl"
    return "trainer-state" if name == "trainer_state.json" or b'"log_history"' in start else None


def read(form: Format, paths: tuple[Path, ...], *, window: int) -> Rows:
    """Reads the files of one run, or one file of several.

    Raises:
        UserError: a file is not what its format says; the message names file and line.
    """
    where = str(paths[0])
    if form == "monitor":
        return read_monitor([(read_bytes(path), str(path)) for path in paths], window)
    if form == "tensorboard":
        return read_event_files(paths, str(paths[0].parent))
    readers = {
        "csv": read_csv,
        "jsonl": read_json_lines,
        "trainer-state": read_trainer_state,
        "evaluations": read_evaluations,
    }
    return readers[form](read_bytes(paths[0]), where)


def resolve_columns(form: Format, rows: Rows, said: dict[str, str], where: str) -> dict[str, str]:
    """Our columns to those of the file: as the mapping says, else as is usual.

    Raises:
        UserError: a column is not there, or it is unclear which one is meant.
    """
    available = ", ".join(list(rows.columns)[:40])
    for ours, theirs in said.items():
        if theirs not in rows.columns:
            raise UserError(f"has no column '{theirs}' for {ours}", where=where, remedy=f"its columns are: {available}")
    found = dict(said)
    for ours, names in CONVENTIONS[form].columns.items():
        candidates = [name for name in names if name in rows.columns]
        if ours in found or (not candidates and ours not in ("env_steps", "eval_return")):
            continue
        # A column that is called as ours is meant, whatever else is there.
        exact = [name for name in candidates if name == ours]
        if len(exact or candidates) != 1:
            kind = "several columns that may be" if candidates else "no column that is known to be"
            listed = f" ({', '.join(candidates)})" if candidates else ""
            raise UserError(
                f"has {kind} {ours}{listed}",
                where=where,
                remedy=f"say which in the mapping: columns: {{{ours}: ...}}; its columns are: {available}",
            )
        found[ours] = (exact or candidates)[0]
    for name in (*SAME_NAME, "task", "algorithm", "seed"):
        if name in rows.columns:
            found.setdefault(name, name)
    return found
