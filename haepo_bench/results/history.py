"""Which of the runs in a folder may confirm its claims: what was declared there, and which runs were there before."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from haepo_bench.results.claims import PROVENANCE_KEY, DeclaredClaims, default_claims
from haepo_bench.results.declarations import Declarations, read_declarations
from haepo_bench.results.identity import CellKey
from haepo_bench.results.index import Index
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.record import FINISHED, RunRecord
from haepo_bench.results.store import Store, Unusable, read_record

#: Of the plans whose declarations covered claims, names and seeds alone.
_EARLIER_FORMAT = 1


@dataclass(frozen=True)
class History:
    """What came before what, in one folder.

    Args:
        plan: None where there is none that can be read.
        records: of all runs in the folder, whether the plan asks for them or not.
    """

    plan: PlanFile | None
    declarations: Declarations | Unusable
    records: tuple[RunRecord, ...]

    def claims(self, uses: dict[str, str]) -> DeclaredClaims | None:
        """As the plan has them, else the default ones.

        Args:
            uses: name in the suite to catalogue name.
        """
        return default_claims(uses) if self.plan is None or not self.plan.declaration else self.plan.claims

    @cached_property
    def undeclared(self) -> str:
        """Why nothing here was declared before the runs; empty where it was."""
        plan = self.plan
        if plan is None or not plan.declaration:
            return "no claims were declared before the runs were made"
        if plan.format_version <= _EARLIER_FORMAT:
            return "they were declared by an earlier version, which left out settings, code and the bounds of scores"
        if plan.declaration != plan.declared:
            return "the plan was edited by hand"
        if isinstance(self.declarations, Unusable):
            return f"what was declared cannot be read: {self.declarations.reason}"
        return ""

    @property
    def declaration_number(self) -> int | None:
        """Which declaration about its candidates the plan's is, from 1; None where nothing was declared."""
        return self.declaration_number_among((record.uses, record.provenance) for record in self.records)

    def declaration_number_among(self, runs: Iterable[tuple[str, Mapping[str, Any]]]) -> int | None:
        """As `declaration_number`, of runs of which no more is known than their algorithm's `uses` and provenance."""
        if self.undeclared or self.plan is None or self.plan.claims is None or isinstance(self.declarations, Unusable):
            return None
        names = set(self.plan.claims.candidates)
        candidates = {cell.uses for cell in self.plan.cells if cell.algorithm in names}
        made_under = {_made_under(provenance) for uses, provenance in runs if uses in candidates}
        return self.declarations.number(self.plan.declaration, candidates, made_under)

    def preceding(self, records: Iterable[RunRecord]) -> tuple[int, ...]:
        """Seeds of those runs that were there before the plan's claims were declared, in ascending order."""
        plan, declarations = self.plan, self.declarations
        if self.undeclared or plan is None or plan.claims is None or isinstance(declarations, Unusable):
            return ()
        before = (
            record for record in records if declarations.precedes(_made_under(record.provenance), plan.declaration)
        )
        return tuple(sorted(record.seed for record in before))

    def siblings(self) -> dict[CellKey, set[str]]:
        """Hashes of all settings of a cell that were run, or declared to be run, in this folder."""
        found: dict[CellKey, set[str]] = defaultdict(set)
        for record in self.records:
            if record.status in FINISHED:
                found[record.identity.key].add(record.settings_hash)
        for declaration in () if isinstance(self.declarations, Unusable) else self.declarations:
            for key, settings in declaration.settings:
                found[key].add(settings)
        return found


def declaration_number(store: Store, plan: PlanFile) -> int | None:
    """`History.declaration_number` of a plan in a folder, for which no more of its runs is read than it takes."""
    return History(plan, read_declarations(store), ()).declaration_number_among(_made_by(store))


def _made_by(store: Store) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Of each readable run in a folder what it uses, and its provenance as far as its session's runs share it."""
    with Index(store.root) as index:
        for folder, names in store.record_files():
            if isinstance(names, Unusable):
                continue
            indexed = index.made_by(folder.name)
            yield from indexed.values()
            for name in names:
                found = None if name in indexed else read_record(folder / name)
                if isinstance(found, RunRecord):
                    yield found.uses, found.provenance


def other_settings(siblings: dict[CellKey, set[str]], cell: PlannedCell) -> int:
    """How many settings beside a cell's own."""
    return len(siblings.get(cell.identity.key, set()) - {cell.settings_hash})


def _made_under(provenance: Mapping[str, Any]) -> str:
    made = provenance.get(PROVENANCE_KEY)
    return made if isinstance(made, str) else ""
