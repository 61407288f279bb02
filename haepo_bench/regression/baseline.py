"""The baseline file: what later runs are judged by. Field by field in docs/how-to/regression.md.

One JSON file per suite, made to be reviewed: sorted, one line per run, numbers rounded to a stated number of digits.
Runs that differ in what is rounded away are still distinguished: each keeps a digest of all its numbers but the
clocks', and one of each column, by which it is compared with runs that have other columns besides. (Format 1 had none
of columns.)
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.files import read_regular, reason_of
from haepo_bench.results.identity import CellKey
from haepo_bench.results.record import Engine
from haepo_bench.results.writing import write_atomically
from haepo_bench.statistics.curves import random_once_diverged

Array = NDArray[Any]

FORMAT_VERSION = 2
KIND = "haepo-bench baseline"
#: Significant digits of a run's area, which is tested, and of all else, which explains.
AREA_DIGITS, DIGITS = 9, 5
#: Hexadecimal digits of the digest of one column, and what stands for a column that a run does not have.
COLUMN_DIGITS, NO_COLUMN = 6, "0" * 6

Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ReturnScale(_Model):
    """What turns returns into units of the task's span: (return - zero) / (one - zero).

    Args:
        zero: return of the random policy; a diverged run has it from the evaluation point on at which it diverged.
        one: return that solves the task.
        source: `references`, the task's own; `learned` where it has none: `zero` is the mean return of the untrained
            policies, and `one` is larger by what training moved it.
    """

    zero: Finite
    one: Finite
    source: Literal["references", "learned"]

    @model_validator(mode="after")
    def _apart(self) -> "ReturnScale":
        if self.zero == self.one:
            raise ValueError("a scale needs two numbers that differ")
        return self

    def units(self, returns: Array) -> Array:
        """returns: [...] -> [...] in units of the span."""
        return np.asarray((returns - self.zero) / (self.one - self.zero))


class BaselineRun(_Model):
    """One run.

    Args:
        area: area under the curve of returns, divided by the budget: the mean return over the budget.
        digest: of all that must be equal of two runs of the same code (`cells.digest_of`).
        column_digests: of the same, column by column of the cell's `columns`, one after the other.
        env_steps: that training took.
        cpu_seconds: of training; null where the record does not say.
        relative_cost: cpu_seconds over those of the reference job in the same session; null where none was timed.
        job_seeds: runs of the job that it was part of, which share its cost.
        curve: return of the sampled policy at the evaluation points; null from the one on at which it diverged.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    status: Literal["done", "diverged"]
    area: Finite
    digest: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    column_digests: Annotated[str, Field(pattern=f"^([0-9a-f]{{{COLUMN_DIGITS}}})*$")] = ""
    env_steps: Annotated[int, Field(ge=0)] | None
    cpu_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    relative_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    job_seeds: Annotated[int, Field(ge=1)] | None
    curve: list[Finite | None]


class BaselineCell(_Model):
    """One algorithm on one task.

    Args:
        settings: the document that settings_hash is the hash of, so that one can say which setting differs.
        marks: env steps at which the curves have values.
        columns: names of the numbers that the runs have (`cells.columns_of`), in the order of their digests.
    """

    task: Name
    algorithm: Name
    uses: Name
    settings_hash: Name
    code_hash: Name
    settings: dict[str, Any]
    scale: ReturnScale
    marks: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)]
    columns: list[Name] = []
    runs: Annotated[list[BaselineRun], Field(min_length=2)]

    @property
    def key(self) -> CellKey:
        """Task and algorithm."""
        return CellKey(self.task, self.algorithm)

    @property
    def seeds(self) -> tuple[int, ...]:
        """In increasing order."""
        return tuple(run.seed for run in self.runs)

    def areas(self) -> Array:
        """[seed] in units of the span."""
        return self.scale.units(np.array([run.area for run in self.runs]))

    def curves(self) -> Array:
        """[seed, point] in units of the span, 0 where a run had diverged."""
        returns = np.array([run.curve for run in self.runs], dtype=float)
        diverged = [[run.status == "diverged"] for run in self.runs]
        return self.scale.units(random_once_diverged(returns, diverged, self.scale.zero))

    @model_validator(mode="after")
    def _consistent(self) -> "BaselineCell":
        if any(before >= after for before, after in pairwise(self.marks)):
            raise ValueError("the evaluation points do not increase")
        if any(before >= after for before, after in pairwise(self.seeds)):
            raise ValueError("the runs are not in the order of their seeds, or one is there twice")
        if any(len(run.column_digests) != COLUMN_DIGITS * len(self.columns) for run in self.runs):
            raise ValueError("a run has not as many digests as there are columns")
        if any(len(run.curve) != len(self.marks) for run in self.runs):
            raise ValueError("a curve has not as many values as there are evaluation points")
        if any(None in run.curve for run in self.runs if run.status == "done"):
            raise ValueError("the curve of a run that is done has gaps")
        return self


class First(_Model):
    """What a cell's first recording said; never replaced while its settings stay what they are.

    Args:
        mean: of the runs' areas, in returns.
        sd: standard deviation of the runs' areas.
        scale: as it was then.
    """

    task: Name
    algorithm: Name
    settings_hash: Name
    date: str
    commit: str | None
    mean: Finite
    sd: Finite
    seeds: Annotated[int, Field(ge=1)]
    scale: ReturnScale

    @property
    def key(self) -> CellKey:
        """Task and algorithm."""
        return CellKey(self.task, self.algorithm)


class Recording(_Model):
    """Why and from what the baseline was recorded.

    Args:
        date: ISO 8601, UTC.
        commits: at which the runs were made; empty where they were made outside of a repository.
        dirty: whether files differed from those commits; null where nothing says so.
        means: mean area of each cell, in units of its span, by task and algorithm.
    """

    date: str
    reason: Annotated[str, Field(min_length=1)]
    commits: list[str]
    dirty: bool | None
    package_versions: list[str]
    versions: dict[str, list[str]]
    machines: list[str]
    cells: int
    runs: int
    means: dict[str, dict[str, Finite]]


class Baseline(_Model):
    """A baseline file.

    Args:
        digits: significant digits that numbers were rounded to: those of `area`, and all others.
        engine: what computed the runs of `cells`, for all that it can compute.
        history: every recording into this file, oldest first; the last one is that of `cells`.
        first: one entry for each cell and settings that ever stood in this file.
    """

    kind: Literal["haepo-bench baseline"] = "haepo-bench baseline"
    format_version: int = FORMAT_VERSION
    suite: Name
    digits: dict[Literal["area", "other"], int] = {"area": AREA_DIGITS, "other": DIGITS}
    engine: Engine = "torch"
    history: Annotated[list[Recording], Field(min_length=1)]
    first: list[First]
    cells: Annotated[list[BaselineCell], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_cell_once(self) -> "Baseline":
        twice = [key for key, count in Counter(cell.key for cell in self.cells).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return self

    def cell(self, key: CellKey) -> BaselineCell | None:
        """A cell by its name."""
        return next((cell for cell in self.cells if cell.key == key), None)

    def first_of(self, cell: BaselineCell) -> First | None:
        """The first recording of a cell with the settings that it has now."""
        found = (entry for entry in self.first if entry.key == cell.key and entry.settings_hash == cell.settings_hash)
        return next(found, None)

    def to_json(self) -> str:
        """The file's text: one line per recording, a first value and a run."""
        fields = self.model_dump(mode="json")
        # As files of before say nothing of it, torch is left out.
        heads = ["kind", "format_version", "suite", "digits", *(["engine"] if self.engine != "torch" else [])]
        parts = [f' "{name}": {_dump(fields[name])}' for name in heads]
        parts += [f' "{name}": [\n{_lines(fields[name], 2)}\n ]' for name in ("history", "first")]
        parts.append(' "cells": [\n' + ",\n".join(map(_cell_text, fields["cells"])) + "\n ]")
        return "{\n" + ",\n".join(parts) + "\n}\n"


class BaselineError(UserError):
    """A baseline file that cannot be used."""


class NotComparable(BaselineError):
    """A baseline that is a good one, but not for this."""

    exit_code = ExitCode.NOT_COMPARABLE


def load_baseline(path: Path) -> Baseline:
    """Reads a baseline file.

    Raises:
        BaselineError: there is no such file, or it is empty, cut off, damaged or not a baseline.
        NotComparable: a newer version of the program wrote it.
    """
    document = _read(path)
    remedy = "restore it from version control, or record a new one into another file: haepo-bench baseline"
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BaselineError("is JSON, but not a baseline of haepo-bench", where=str(path), remedy=_wrong_file(document))
    version = document.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BaselineError("is damaged: format_version is not a version", where=str(path), remedy=remedy)
    if version > FORMAT_VERSION:
        raise NotComparable(
            f"was written by a newer version of haepo-bench (format {version}, this one reads up to {FORMAT_VERSION})",
            where=str(path),
            remedy="install that version",
        )
    try:
        return Baseline.model_validate(document)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"]))
        raise BaselineError(
            f"is damaged: {place or 'the file'}: {found['msg']}", where=str(path), remedy=remedy
        ) from None


def save_baseline(path: Path, baseline: Baseline) -> None:
    """Writes a baseline file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    write_atomically(path, baseline.to_json(), option="--out")


def rounded(values: Iterable[float | None], digits: int = DIGITS) -> list[float | None]:
    """Numbers with so many significant digits; NaN becomes None."""
    return [None if value is None or np.isnan(value) else float(f"{value:.{digits}g}") for value in values]


def _read(path: Path) -> Any:
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise BaselineError(
            "there is no such file", where=str(path), remedy="record one: haepo-bench baseline RESULTS --out FILE"
        ) from None
    except OSError as error:
        raise BaselineError(
            f"cannot be read: {reason_of(error)}", where=str(path), remedy="name the file itself, and make it readable"
        ) from None
    remedy = "restore it from version control"
    if not data.strip():
        raise BaselineError("is empty", where=str(path), remedy=remedy)
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise BaselineError("is damaged: nested too deeply", where=str(path), remedy=remedy) from None
    except ValueError as error:
        if not data.lstrip().startswith(b"{"):
            raise BaselineError(
                "is not a baseline: it does not hold JSON", where=str(path), remedy=_wrong_file(None)
            ) from None
        raise BaselineError(f"is damaged or cut off: not JSON: {error}", where=str(path), remedy=remedy) from None


def _wrong_file(document: Any) -> str:
    if isinstance(document, dict) and "curve" in document and "seed" in document:
        return "it is a run: name the file that `haepo-bench baseline` wrote"
    return "name the file that `haepo-bench baseline` wrote"


def _cell_text(cell: dict[str, Any]) -> str:
    lines = [f'   "{name}": {_dump(value)}' for name, value in cell.items() if name != "runs"]
    lines.append(f'   "runs": [\n{_lines(cell["runs"], 4)}\n   ]')
    return "  {\n" + ",\n".join(lines) + "\n  }"


def _lines(entries: Iterable[Any], indent: int) -> str:
    return ",\n".join(" " * indent + _dump(entry) for entry in entries)


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not JSON")
