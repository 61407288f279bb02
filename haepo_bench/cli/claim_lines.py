"""What `validate` and `run --dry-run` say of the seeds that claims take."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haepo_bench.results.store import Store
    from haepo_bench.suite.plan import Plan


#: Names in one warning.
_NAMES = 4


def level_here(plan: "Plan", store: "Store") -> float:
    """The level at which a plan's claims would be tested in a folder; without a declaration there, the first one's."""
    from haepo_bench.results.history import declaration_number
    from haepo_bench.statistics.verdicts import declaration_level
    from haepo_bench.suite.planned import plan_file

    return declaration_level(declaration_number(store, plan_file(plan)) or 1)


def claim_lines(plan: "Plan", level: float | None = None) -> list[str]:
    """One line per claim, and a warning where some have too few seeds for it; nothing without claims.

    Args:
        level: of the declaration; of the first one by default.
    """
    from haepo_bench.statistics.verdicts import LEVEL
    from haepo_bench.verdicts.feasible import feasible

    if plan.claims is None:
        return []
    cells = plan.declared_cells
    scored = list(dict.fromkeys(cell.task for cell in cells if cell.references is not None))
    unit = "replicates" if plan.search else "seeds"
    lines, short = [], False
    for each in feasible(plan.claims, plan.bounds, cells, scored, LEVEL if level is None else level):
        if each.fewest is None:
            lines.append(f"warning: {each.claim}: cannot be decided: {each.reason}")
            continue
        lines.append(f"{each.claim}: {each.supposed} is decided from {each.fewest} {unit} on")
        if each.short:
            short = True
            who = _named(each.short, unit)
            lines.append(f"warning: {each.claim}: fewer {unit} in common with the other side: {who}")
    if short:
        more = "more replicates" if plan.search else "more seeds, run --until-decided"
        lines.append(
            f"what helps: {more}, baselines with too few {unit} under claims.left_out, or only "
            f"those claims under claims.made that the {unit} can decide"
        )
    return lines


def _named(short: "Mapping[str, int]", unit: str) -> str:
    """Who has how many seeds, or replicates."""
    names = list(short)
    counts = sorted(set(short.values()))
    if len(names) > _NAMES:
        most = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        return f"{len(names)} algorithms have {most} {unit}"
    return ", ".join(f"{name} has {n}" for name, n in short.items())
