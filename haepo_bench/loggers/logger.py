"""What a tool hears of a run, and the contract of tools."""

import getpass
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from haepo_bench.publishing.cleaning import Cleaner, users_in
from haepo_bench.results.hashing import digest
from haepo_bench.results.record import ENGINE_KEY, Number, References, RunRecord
from haepo_bench.suite.plan import PlannedRun

#: Of a digest that names a run to a tool.
_DIGITS = 16
#: Of a run's provenance: where on which machine it was made, which is nobody else's.
_LOCAL = frozenset({"node", "log"})


@dataclass(frozen=True)
class LoggedRun:
    """A run as tools know it.

    Args:
        parameters: every hyper-parameter, resolved.
        facts: what else identifies it: hashes of settings and code, budget, engine.
        references: what its scores are made with; None: it has returns and no score.
    """

    suite: str
    task: str
    algorithm: str
    seed: int
    parameters: Mapping[str, Any]
    facts: Mapping[str, Any]
    references: References | None

    @property
    def name(self) -> str:
        """Unique in its suite."""
        return f"{self.group}, seed {self.seed}"

    @property
    def group(self) -> str:
        """What all seeds of its cell share."""
        return f"{self.algorithm} on {self.task}"

    @property
    def cell(self) -> str:
        """Identity of what all of its seeds share, settings and code among it: the same in every session."""
        parts = [self.suite, self.task, self.algorithm, self.facts["settings_hash"], self.facts["code_hash"]]
        return digest(parts)[:_DIGITS]

    @property
    def identity(self) -> str:
        """Of the run: one that is made again with other settings or code is another."""
        return digest([self.cell, self.seed])[:_DIGITS]

    @property
    def folders(self) -> tuple[str, str, str]:
        """Task, algorithm and seed as names of folders, one inside the other."""
        return quote(self.task, safe=""), quote(self.algorithm, safe=""), f"seed-{self.seed}"

    @property
    def about(self) -> dict[str, Any]:
        """All but its hyper-parameters."""
        return {"suite": self.suite, "task": self.task, "algorithm": self.algorithm, "seed": self.seed, **self.facts}

    @property
    def config(self) -> dict[str, Any]:
        """All of it in one flat mapping; hyper-parameters by their own names."""
        return {**{f"run.{key}": value for key, value in self.about.items()}, **self.parameters}

    @classmethod
    def planned(cls, suite: str, run: PlannedRun) -> "LoggedRun":
        """A run that is to be made."""
        cell = run.cell
        facts = {
            "settings_hash": cell.settings_hash,
            "code_hash": cell.code_hash,
            "env_steps": cell.budget,
            "engine": cell.engine,
        }
        return cls(suite, cell.task, cell.algorithm, run.seed, _clean(cell.parameters), facts, cell.references)

    @classmethod
    def stored(cls, suite: str, record: RunRecord) -> "LoggedRun":
        """A run that was made."""
        facts = {"settings_hash": record.settings_hash, "code_hash": record.code_hash}
        facts |= record.settings.get("budget", {})
        if ENGINE_KEY in record.provenance:
            facts["engine"] = record.provenance[ENGINE_KEY]["name"]
        parameters = _clean(record.parameters)
        return cls(suite, record.task, record.algorithm, record.seed, parameters, facts, record.references)

    def values(self, row: Mapping[str, Number]) -> dict[str, float | int]:
        """What is logged of an evaluation point: its columns, and the score where there is one."""
        known = {name: value for name, value in row.items() if value is not None and name != "env_steps"}
        if self.references is not None and "eval_return" in known:
            known["score"] = self.references.score(known["eval_return"])
        return known


class LoggedCurve(Protocol):
    """A run that a tool hears of."""

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        """An evaluation point, later than all before."""
        ...

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        """The run is over: `done`, `diverged`, `failed`, `timed_out` or `interrupted`."""
        ...


class Logger(Protocol):
    """A tool."""

    def begin(self, run: LoggedRun) -> LoggedCurve:
        """Begins a run; several are open at a time."""
        ...

    def close(self) -> None:
        """Nothing more comes; every curve was finished."""
        ...


def provenance_of(record: RunRecord) -> dict[str, Any]:
    """What a tool hears of where a record came from: no names of machines and people, no absolute paths."""
    kept = {key: value for key, value in record.provenance.items() if key not in _LOCAL}
    if record.error is not None:
        kept["error"] = f"{record.error.type}: {record.error.message}"
    return _clean(kept, str(record.provenance.get("node", "")))


def _clean(document: Mapping[str, Any], node: str = "") -> dict[str, Any]:
    try:
        user = [getpass.getuser()]
    except (OSError, KeyError):  # nobody, as in some containers
        user = []
    cleaned: dict[str, Any] = Cleaner([platform.node(), node], [*user, *users_in(str(document))]).document(document)
    return cleaned


def markdown_table(document: Mapping[str, Any]) -> str:
    """Keys and values as a table of two columns."""
    rows = "".join(f"| {key} | `{markdown_cell(value)}` |\n" for key, value in document.items())
    return f"| | |\n|---|---|\n{rows}"


def markdown_cell(value: Any) -> str:
    """A value as one line of a table's text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("`", "'").replace("\n", " ")
