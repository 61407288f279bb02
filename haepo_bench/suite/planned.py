"""A plan as it is kept with its results: every cell of the suite as it now is, whether a run selects it or not."""

from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.suite.plan import Cell, Plan


def plan_file(plan: Plan, *, written: str = "") -> PlanFile:
    """What reports need to know of a plan.

    Args:
        written: now, ISO 8601, UTC; empty where it is not written.
    """
    return PlanFile(
        suite=plan.suite,
        description=plan.description,
        written=written,
        source=plan.source,
        claims=plan.claims,
        bounds=plan.bounds,
        uniform_success=plan.uniform_success,
        declaration=plan.declaration,
        engine=plan.execution.engine,
        search=plan.search,
        tuned=plan.tuned,
        tuned_source=plan.tuned_source,
        cells=[_planned(cell) for cell in plan.declared_cells],
    )


def _planned(cell: Cell) -> PlannedCell:
    return PlannedCell.of(
        cell,
        uses=cell.uses,
        seeds=cell.seeds,
        information=cell.information,
        budget=cell.budget,
        evaluation_every=cell.evaluation_every,
    )
