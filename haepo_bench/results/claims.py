"""What was claimed before it was measured: stored with the plan, and its hash with every run."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

#: Where a suite does not say.
DEFAULT_CANDIDATE = "haepo"
DEFAULT_MARGIN = 0.1
DEFAULT_THRESHOLD = 0.9
#: Catalogue names of algorithms that learn nothing: baselines of claims only where a suite names them, never ranked.
CONTROLS = frozenset({"uniform"})

#: Under this key a run's provenance holds `declaration_hash` as it was when the run was made.
PROVENANCE_KEY = "declaration"


class DeclaredClaims(BaseModel):
    """The claims of a suite, with every name resolved.

    Args:
        candidates: names in the suite of the algorithms that something is claimed of: the variants of one method.
        baselines: names in the suite of those that they are compared with.
        margin: in units of the measure: a smaller difference does not matter.
        threshold: score whose first time is the time to threshold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    candidates: list[str] = Field(min_length=1)
    baselines: list[str] = Field(min_length=1)
    margin: float = Field(gt=0, allow_inf_nan=False)
    threshold: float = Field(allow_inf_nan=False)


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


def declaration_hash(claims: DeclaredClaims | None, cells: Iterable[tuple[str, str, Sequence[int]]]) -> str:
    """SHA-256 of the claims and of what they will be tested on, in hexadecimal.

    Args:
        cells: task, algorithm and seeds of each cell of the suite, in any order.
    """
    document = {
        "claims": None
        if claims is None
        else {
            **claims.model_dump(),
            # In whatever order the suite has them.
            "candidates": sorted(claims.candidates),
            "baselines": sorted(claims.baselines),
        },
        "cells": sorted([task, algorithm, sorted(seeds)] for task, algorithm, seeds in cells),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
