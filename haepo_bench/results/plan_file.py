"""plan.json: which cells and seeds belong to a suite's results, and what was claimed of them beforehand."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from haepo_bench.results.claims import DeclaredClaims, ScoreBounds, declaration_hash
from haepo_bench.results.identity import CellIdentity, cell_folder
from haepo_bench.results.record import Information, NewerFormat, Number
from haepo_bench.results.searches import DeclaredSearch

#: Since 2 declarations cover settings, code and bounds, and claims say by which rule they are judged.
PLAN_FORMAT = 2


def _storable(text: Any) -> Any:
    """Text as UTF-8 can hold it: the name of a file that was imported may have halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else text


class _Model(BaseModel):
    # What another version added is kept where a plan is changed.
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class PlannedCell(_Model):
    """One algorithm on one task in plan.json.

    Args:
        folder: name of the folder with its runs.
        uses: catalogue name of the algorithm.
        information: what a report says of the algorithm where none of its runs can be read.
        budget: training env steps of a run; None where nobody knows, as of imported cells without a run.
        evaluation_every: env steps between evaluation points; likewise.
    """

    folder: str
    task: str
    algorithm: str
    uses: str
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]]
    settings_hash: str
    code_hash: str
    information: Information | None = None
    budget: Number = None
    evaluation_every: Number = None

    @classmethod
    def of(
        cls,
        cell: CellIdentity,
        *,
        uses: str,
        seeds: Iterable[int],
        folder: str = "",
        information: Information | None = None,
        budget: Number = None,
        evaluation_every: Number = None,
    ) -> "PlannedCell":
        """A planned cell.

        Args:
            folder: its runs', if not the one that their identity names.
        """
        return cls(
            folder=folder or cell_folder(cell),
            task=cell.task,
            algorithm=cell.algorithm,
            uses=uses,
            seeds=list(seeds),
            settings_hash=cell.settings_hash,
            code_hash=cell.code_hash,
            information=information,
            budget=budget,
            evaluation_every=evaluation_every,
        )

    @property
    def has_own_folder(self) -> bool:
        """Whether `folder` names one right below the plan's: a plan is foreign text, and nothing else is read."""
        return self.folder not in {"", ".", ".."} and Path(self.folder).name == self.folder

    @property
    def identity(self) -> CellIdentity:
        """Whose runs belong to the cell."""
        return CellIdentity(self.task, self.algorithm, self.settings_hash, self.code_hash)


class PlanFile(_Model):
    """What the last `run` asked for, and what was imported since.

    Args:
        written: ISO 8601, UTC.
        source: text of the suite file, or what says where imported runs came from.
        bounds: of scores, by task; those of other tasks are not known.
        uniform_success: env steps that a uniform policy is expected to take until its first success, by task; only
            tasks that count successes.
        declaration: `declared` as it was when the plan was written; empty where nothing was declared before the runs.
        engine: that the last `run` was made with; None where no such thing was chosen.
        search: of the plans of `tune`.
        tuned: declaration of the search that found the settings of the runs; empty where none did.
        tuned_source: text of the file of tuned settings; likewise.
        cells: of the whole suite, whether the last `run` selected them or not.
    """

    format_version: int = Field(default=PLAN_FORMAT, ge=1)
    suite: str
    description: str = ""
    written: str = ""
    source: Annotated[str, BeforeValidator(_storable)] = ""
    claims: DeclaredClaims | None = None
    bounds: dict[str, ScoreBounds] = Field(default={})
    uniform_success: dict[str, float] = Field(default={})
    declaration: str = ""
    engine: str | None = None
    search: DeclaredSearch | None = None
    tuned: str = ""
    tuned_source: Annotated[str, BeforeValidator(_storable)] = ""
    cells: list[PlannedCell]

    @model_validator(mode="after")
    def _each_cell_once(self) -> "PlanFile":
        twice = [key for key, n in Counter(cell.identity.key for cell in self.cells).items() if n > 1]
        if twice:
            raise ValueError(f"names {twice[0]} twice")
        return self

    @property
    def declared(self) -> str:
        """Hash of the claims and of all that they are tested on, as this plan has them now."""
        return declaration_hash(self.claims, self.bounds, self.cells, self.search)

    def to_json(self) -> str:
        """The file's text."""
        left_out = {name for name in ("search", "tuned", "tuned_source") if not getattr(self, name)}
        return json.dumps(self.model_dump(mode="json", exclude=left_out), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "PlanFile":
        """Reads a file's text.

        Raises:
            NewerFormat: it is of a later format.
            ValueError: it is not a plan; the message says why.
            RecursionError: it is nested too deeply.
        """
        document = json.loads(text)
        version = document.get("format_version") if isinstance(document, dict) else None
        if isinstance(version, int) and not isinstance(version, bool) and version > PLAN_FORMAT:
            # Before anything else is looked at: a newer format may have any fields.
            raise NewerFormat(f"written by a newer version of haepo-bench (format {version})")
        if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
            raise ValueError("not a plan")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            reason = ": ".join([".".join(map(str, first["loc"])), message]).lstrip(": ")
            raise ValueError(reason) from None
