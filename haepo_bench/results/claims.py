"""What was claimed before it was measured: stored with the plan, and its hash with every run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haepo_bench.results.hashing import digest
from haepo_bench.results.searches import DeclaredSearch

#: Where a suite does not say.
DEFAULT_CANDIDATE = "haepo"
DEFAULT_MARGIN = 0.1
DEFAULT_THRESHOLD = 0.9
#: Catalogue names of algorithms that learn nothing: baselines of claims only where a suite names them, never ranked.
CONTROLS = frozenset({"uniform"})

#: What can be claimed, in the order of reports; `margins` of a suite goes by these names.
CLAIM_NAMES = (
    "converges fast",
    "explores thoroughly",
    "aligns with true rewards",
    "robust",
    "better or at par",
)

#: How evidence becomes a verdict (docs/explanation/statistics.md); the first where a suite does not say.
Rule = Literal["betting", "wins", "fixed"]
#: What is taken for granted of the two runs that share a seed; likewise.
Dependence = Literal["nonnegative", "any"]

#: Under this key a run's provenance holds `declaration_hash` as it was when the run was made.
PROVENANCE_KEY = "declaration"


class ScoreBounds(BaseModel):
    """The least and the greatest score that a run can have on a task.

    Args:
        clipped: whether that is because scores are clipped to them, as a suite may declare.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    clipped: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "ScoreBounds":
        if not self.low < self.high:
            raise ValueError(f"the least score {self.low:g} is not below the greatest {self.high:g}")
        return self


class DeclaredClaims(BaseModel):
    """The claims of a suite, with every name resolved.

    Args:
        candidates: names in the suite of the algorithms that something is claimed of: the variants of one method.
        baselines: names in the suite of those that each of them is claimed to be better than.
        margin: in units of the measure: a smaller difference does not matter.
        threshold: score whose first time is the time to threshold.
        margins: of single claims, by their names, in place of `margin`.
        rule: how evidence becomes a verdict.
        dependence: what is taken for granted of the two runs that share a seed.
        made: which of `CLAIM_NAMES` are claimed; empty for all.
        left_out: names in the suite of algorithms that are shown beside the baselines and that no claim is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    candidates: list[str] = Field(min_length=1)
    baselines: list[str] = Field(min_length=1)
    margin: float = Field(gt=0, allow_inf_nan=False)
    threshold: float = Field(allow_inf_nan=False)
    margins: dict[str, float] = Field(default={})
    rule: Rule = "betting"
    dependence: Dependence = "nonnegative"
    left_out: list[str] = Field(default=[])
    made: list[str] = Field(default=[])

    def makes(self, claim: str) -> bool:
        """Whether one of `CLAIM_NAMES` is claimed."""
        return not self.made or claim in self.made

    def margin_of(self, claim: str) -> float:
        """The margin of one of `CLAIM_NAMES`."""
        return self.margins.get(claim, self.margin)


class DeclaredCell(Protocol):
    """An algorithm on a task, with what its runs depend on."""

    @property
    def task(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def uses(self) -> str: ...
    @property
    def seeds(self) -> Sequence[int]: ...
    @property
    def settings_hash(self) -> str: ...
    @property
    def code_hash(self) -> str: ...


def members(candidate: str, uses: Mapping[str, str], *, families: Iterable[str]) -> list[str]:
    """The algorithms of a suite that a name means: itself, else all that use it, else all members of that family.

    Args:
        uses: name in the suite to catalogue name.
        families: names that stand for every algorithm whose catalogue name begins with them and a hyphen.
    """
    if candidate in uses:
        return [candidate]
    same = [name for name, used in uses.items() if used == candidate]
    if same or candidate not in families:
        return same
    return [name for name, used in uses.items() if used.startswith(f"{candidate}-")]


def default_baselines(uses: Mapping[str, str], candidates: Sequence[str]) -> list[str]:
    """What candidates are compared with where nothing is declared: all other algorithms that learn.

    Args:
        uses: name in the suite to catalogue name.
        candidates: names in the suite.
    """
    return [name for name, used in uses.items() if name not in candidates and used not in CONTROLS]


def default_claims(uses: Mapping[str, str]) -> DeclaredClaims | None:
    """What is claimed by default: HAEPO against all others that learn; None without a candidate or a baseline."""
    candidates = members(DEFAULT_CANDIDATE, uses, families=[DEFAULT_CANDIDATE])
    baselines = default_baselines(uses, candidates)
    if not candidates or not baselines:
        return None
    return DeclaredClaims(
        candidates=candidates, baselines=baselines, margin=DEFAULT_MARGIN, threshold=DEFAULT_THRESHOLD
    )


def declaration_document(
    claims: DeclaredClaims | None,
    bounds: Mapping[str, ScoreBounds],
    cells: Iterable[DeclaredCell],
    search: DeclaredSearch | None = None,
) -> dict[str, Any]:
    """All that a verdict depends on and that must stand before the first look; JSON types only.

    Of the cells those that claims are about, or all where nothing is claimed: settings (which name the budget), code
    and the order of seeds. Verdicts hold whenever one stops, so more seeds of the same order are the same declaration;
    under the rule `fixed`, which looks once, they are another.

    Args:
        bounds: of scores, by task.
        search: whose replicates take the place of seeds. Its cells then are those with the default settings, which say
            all that trials have in common.
    """
    named = None if claims is None else {*claims.candidates, *claims.baselines}
    if search is not None:
        named = set(search.spaces) if named is None else named & set(search.spaces)
    own = [cell for cell in cells if named is None or cell.algorithm in named]
    whole = claims is not None and claims.rule == "fixed"
    return {
        "claims": None
        if claims is None
        else {
            **claims.model_dump(mode="json"),
            # In whatever order the suite has them.
            "candidates": sorted(claims.candidates),
            "baselines": sorted(claims.baselines),
            "left_out": sorted(claims.left_out),
            "made": sorted(claims.made),
        },
        "bounds": {task: bounds[task].model_dump() for task in sorted({cell.task for cell in own} & bounds.keys())},
        "cells": sorted(
            [
                cell.task,
                cell.algorithm,
                cell.uses,
                cell.settings_hash,
                cell.code_hash,
                seed_order(cell.seeds, whole=whole),
            ]
            for cell in own
        ),
    } | ({} if search is None else {"search": search.document})


def seed_order(seeds: Sequence[int], *, whole: bool) -> str:
    """The order in which seeds are taken: `0, 1, ...` of seeds that follow one another, else all of them.

    Args:
        whole: whether how many they are counts, too.
    """
    first = seeds[0] if seeds else 0
    if not whole and list(seeds) == list(range(first, first + len(seeds))):
        return f"{first}, {first + 1}, ..."
    return ", ".join(map(str, seeds))


def declaration_hash(
    claims: DeclaredClaims | None,
    bounds: Mapping[str, ScoreBounds],
    cells: Iterable[DeclaredCell],
    search: DeclaredSearch | None = None,
) -> str:
    """SHA-256 of the claims and of all that verdicts on them depend on; arguments as for `declaration_document`."""
    return digest(declaration_document(claims, bounds, cells, search))
