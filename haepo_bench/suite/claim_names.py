"""The claims of a suite with every name resolved; every problem at its key."""

from collections.abc import Sequence

from haepo_bench import catalogue
from haepo_bench.errors import did_you_mean
from haepo_bench.results.claims import CLAIM_NAMES, DeclaredClaims, default_baselines, members
from haepo_bench.suite.document import KeyPath, Problem
from haepo_bench.suite.schema import Claims


class ClaimNames:
    """Resolves what claims name.

    Args:
        uses: name in the suite to catalogue name.
    """

    def __init__(self, uses: dict[str, str]) -> None:
        self._uses = uses
        self.problems: list[Problem] = []

    def resolve(self, claims: Claims, *, quiet: bool) -> DeclaredClaims | None:
        """What is claimed; None where the suite does not have what the default asks for.

        Args:
            quiet: whether other problems explain why there is nothing to claim.
        """
        uses = self._uses
        said = claims.model_fields_set
        candidates = self._members(("claims", "candidate"), claims.candidate, needed="candidate" in said)
        left_out = self._named("left_out", claims.left_out or (), candidates)
        baselines = [name for name in default_baselines(uses, candidates) if name not in left_out]
        if claims.baselines is not None:
            baselines = self._named("baselines", claims.baselines, candidates)
            for index, name in enumerate(claims.left_out or ()):
                both = [one for one in self._members((), name, needed=False) if one in baselines]
                if both:
                    problem = f"'{both[0]}' is one of the baselines"
                    self.problems.append(Problem(("claims", "left_out", index), problem, "name it in one of the two"))
        if not candidates or not baselines:
            if said and not quiet and not self.problems:
                self.problems.append(_nothing_claimed(claims.candidate, candidates, list(claims.left_out or ())))
            return None
        return DeclaredClaims(
            candidates=candidates,
            baselines=baselines,
            margin=claims.margin,
            threshold=claims.threshold,
            margins=claims.margins,
            rule=claims.rule,
            dependence=claims.dependence,
            left_out=left_out,
            made=[name for name in CLAIM_NAMES if name in (claims.made or ())],
        )

    def _named(self, key: str, names: Sequence[str], candidates: Sequence[str]) -> list[str]:
        """What a list of the claims means, each once; none may be a candidate."""
        found: list[str] = []
        for index, name in enumerate(names):
            path: KeyPath = ("claims", key, index)
            group = self._members(path, name, needed=True)
            if set(group) & set(candidates):
                problem = "an algorithm cannot be compared with itself: this is the candidate"
                self.problems.append(Problem(path, problem, "name another, or another candidate"))
            found += group
        return list(dict.fromkeys(found))

    def _members(self, path: KeyPath, name: str, *, needed: bool) -> list[str]:
        uses = self._uses
        found = members(name, uses, families=catalogue.FAMILIES)
        if needed and not found and uses:
            families = [family for family, own in catalogue.FAMILIES.items() if set(own) & set(uses.values())]
            known = [*uses, *uses.values(), *families]
            remedy = did_you_mean(name, list(dict.fromkeys(known)), kind="algorithm")
            self.problems.append(Problem(path, f"the suite has no algorithm '{name}'", remedy))
        return found


def _nothing_claimed(candidate: str, candidates: Sequence[str], left_out: Sequence[str]) -> Problem:
    """Why what a suite says of its claims compares nothing."""
    if not candidates:
        problem = f"the suite has no algorithm '{candidate}', the candidate where none is named"
        return Problem(("claims",), problem, "name one under claims.candidate, or remove claims")
    but = " that is not left out" if left_out else ""
    problem = f"'{candidate}' is compared with nothing: the suite has no other algorithm that learns{but}"
    return Problem(("claims",), problem, "add one, name one under claims.baselines, or remove claims")
