"""The run record: one run, one JSON file. Field by field in docs/reference/results-format.md.

A run is one algorithm on one task with one seed. The record holds everything that later readers need (settings,
learning curve, cost, where it came from), so that it can be read without this package.
"""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from haepo_bench.results.identity import CellIdentity

FORMAT_VERSION = 1

Status = Literal["done", "failed", "diverged", "timed_out", "interrupted"]

#: A run in one of these states has a result and is not run again while its hashes match.
FINISHED: frozenset[Status] = frozenset({"done", "diverged"})

#: A run in one of these states failed.
FAILED: frozenset[Status] = frozenset({"failed", "timed_out"})

Number = float | int | None

#: Types of failures: a process that was killed, one that ended by itself, no memory, another code than the run's, a
#: node that lacks what the run needs.
KILLED, CRASHED, OUT_OF_MEMORY, OTHER_CODE = "WorkerDied", "WorkerCrashed", "OutOfMemory", "OtherCode"
UNFIT = "NodeUnfit"
_OF_THE_MACHINE = frozenset({KILLED, OUT_OF_MEMORY, OTHER_CODE, UNFIT})

#: What computes a run: torch, or the compiled kernels.
Engine = Literal["torch", "compiled"]
#: Of a run's provenance: the engine where it is not torch, with what its library was built for and by.
ENGINE_KEY = "engine"

#: Note of language runs whose results say nothing of large models; shown with the task's name.
TINY_MODEL = "a tiny model made here"


class NewerFormat(ValueError):
    """A file that a newer version of the program wrote."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class References(_Model):
    """Fixed returns that a task's score is normalised with: score = (return - random) / (solved - random)."""

    random: float
    solved: float
    source: str = Field(description="where the two numbers come from")

    @model_validator(mode="after")
    def _apart(self) -> "References":
        if not math.isfinite(self.random) or not math.isfinite(self.solved) or self.random == self.solved:
            raise ValueError(f"no score can be made of random {self.random} and solved {self.solved}")
        return self

    def score(self, value: float) -> float:
        """The score of a return: 0 for the uniformly random policy, 1 for a solved task; not clipped."""
        return (value - self.random) / (self.solved - self.random)


class Information(_Model):
    """What feedback an algorithm receives and what it needs; shown next to every result."""

    told: Literal["per-step rewards", "returns", "oracle preferences"] | None = Field(
        description="null where not stated, as it may be with imported runs"
    )
    critic: bool | None = Field(description="null where not stated")
    discount: float | None = Field(description="None where returns are not discounted")
    label: str = Field(description="how tables and figures name the algorithm's kind, e.g. 'online DPO, oracle pairs'")
    footnote: str = Field(default="", description="caveat that every table and figure with this algorithm carries")


class Failure(_Model):
    """Why a run has no complete result, or an earlier attempt that had none."""

    status: Status
    type: str
    message: str
    remedy: str = Field(default="", description="what to do about it, empty where unknown")
    traceback: str = Field(default="", description="tail of the traceback, may be empty")
    started: str = Field(default="", description="ISO 8601, UTC")

    @property
    def of_machine(self) -> bool:
        """Whether the machine failed, not the algorithm: the same run may well succeed if it is run again."""
        return self.status == "interrupted" or (self.status == "failed" and self.type in _OF_THE_MACHINE)


class RunRecord(_Model):
    """One run as stored in `seed-<n>.json`."""

    format_version: int = FORMAT_VERSION
    status: Status
    suite: str
    task: str
    algorithm: str = Field(description="the name in the suite, unique there")
    uses: str = Field(description="the catalogue name of the algorithm")
    seed: int = Field(ge=0, lt=2**63)
    settings_hash: str
    code_hash: str
    settings: dict[str, Any] = Field(description="the document that settings_hash is the hash of")
    parameters: dict[str, Any] = Field(description="every hyper-parameter, resolved")
    references: References | None
    information: Information
    curve: dict[str, list[Number]] = Field(
        description="named columns of equal length, one entry per evaluation point; of a run without a result those "
        "that it reached"
    )
    final: dict[str, Number]
    cost: dict[str, Number]
    notes: list[str] = Field(default_factory=list, description="what a reader of this run should know")
    provenance: dict[str, Any]
    error: Failure | None = None
    attempts: list[Failure] = Field(default_factory=list, description="earlier attempts that failed, oldest first")

    @property
    def identity(self) -> CellIdentity:
        """Of the cell that the run is one of."""
        return CellIdentity(self.task, self.algorithm, self.settings_hash, self.code_hash)

    @field_validator("format_version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value > FORMAT_VERSION:
            raise NewerFormat(
                f"written by a newer version of haepo-bench (format {value}, this one reads up to {FORMAT_VERSION})"
            )
        if value < 1:
            raise ValueError(f"no such format version: {value}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "RunRecord":
        lengths = {name: len(column) for name, column in self.curve.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"curve columns have unequal lengths: {lengths}")
        numbers = {f"final.{name}": [value] for name, value in self.final.items()}
        numbers |= {f"cost.{name}": [value] for name, value in self.cost.items()}
        numbers |= {f"curve.{name}": column for name, column in self.curve.items()}
        bad = [name for name, values in numbers.items() if not _all_finite(values)]
        if bad:
            raise ValueError(f"numbers that are not finite: {', '.join(bad)}")
        marks = self.curve.get("env_steps", [])
        if self.status in FINISHED and not marks:
            raise ValueError(f"a {self.status} run without a curve")
        steps = [mark for mark in marks if mark is not None]
        if len(steps) < len(marks) or any(before >= after for before, after in pairwise(steps)):
            raise ValueError("the evaluation points (curve.env_steps) do not increase")
        if self.status == "done" and (
            None in self.curve.get("eval_return", [None]) or self.final.get("eval_return") is None
        ):
            raise ValueError("a done run without an evaluation return at every evaluation point")
        return self

    def to_json(self) -> str:
        """The file's text: one top-level field per line, one curve column per line, so that it reads and diffs well."""
        fields = self.model_dump(mode="json")
        lines = []
        for name, value in fields.items():
            if name == "curve" and value:
                columns = ",\n".join(f"  {json.dumps(column)}: {_dump(values)}" for column, values in value.items())
                lines.append(f' "curve": {{\n{columns}\n }}')
            else:
                lines.append(f" {json.dumps(name)}: {_dump(value)}")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "RunRecord":
        """Reads a file's text.

        Raises:
            ValueError: not JSON, not a run record, damaged, or of a newer format; the message says which.
        """
        document = _parse(text)
        if not isinstance(document, dict) or "format_version" not in document:
            raise ValueError("not a run record (no format_version)")
        version = document["format_version"]
        if isinstance(version, int) and not isinstance(version, bool):
            # A newer format may have any fields: say that it is newer, not which fields are strange.
            cls._known_version(version)
        return cls.model_validate(document, strict=True)


def finite(value: float | None) -> float | None:
    """`value`, or None where it is NaN or infinite: JSON has neither."""
    return None if value is None or not math.isfinite(value) else value


def _all_finite(values: Sequence[Number]) -> bool:
    """Whether all that are not None can be kept in a float: neither NaN nor infinite nor an integer beyond floats."""
    try:
        # A sum is finite only where all its terms are; most columns are whole, and a sum takes a tenth of the time.
        if math.isfinite(sum(values)):  # type: ignore[arg-type]
            return True
    except (TypeError, OverflowError):
        pass
    try:
        return all(map(math.isfinite, [value for value in values if value is not None]))
    except OverflowError:
        return False


def _parse(text: str | bytes) -> Any:
    """JSON as Python objects, by the faster parser; what that one refuses, the standard library's names better."""
    from pydantic_core import from_json

    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        pass
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("not a run record: nested too deeply") from None


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not JSON")
