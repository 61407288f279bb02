"""Gold and proxy reward against the square root of the KL to the initial policy, as a chart of the page."""

from haepo_bench.report.charts import BAND, Axis, LineChart, Series, kind_and_seeds
from haepo_bench.report.document import TaskResult
from haepo_bench.report.overoptimisation_table import DISTANCE, GOLD, ORDER_NOTE, PROXY, divergence_notes, optimised
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables import Footnotes, return_decimals


def overoptimisation_chart(task: TaskResult, styles: Styles) -> LineChart | None:
    """None where no algorithm has a proxy reward and a KL to the initial policy."""
    results = optimised(task)
    if not results:
        return None
    footnotes = Footnotes(result for result, _ in results)
    series = [
        Series(
            name=result.algorithm,
            detail=kind_and_seeds(result),
            look=styles.of(result.algorithm),
            x={"sqrt_kl": found.sqrt_kl, "env_steps": result.curve.env_steps if result.curve else []},
            y={"gold": found.gold, "proxy": found.proxy},
            mark=footnotes.marker(result),
        )
        for result, found in results
    ]
    ends = [found.end for _, found in results]
    return LineChart(
        title=f"Gold and proxy reward by distance from the initial policy on {task.task}",
        x=[
            Axis("sqrt_kl", "√KL", DISTANCE, 2),
            Axis("env_steps", "Env steps", "training env steps a seed", 0, log=True),
        ],
        y=[
            Axis("gold", "Gold", GOLD, return_decimals([end.gold for end in ends])),
            Axis("proxy", "Proxy", PROXY, return_decimals([end.proxy for end in ends])),
        ],
        series=series,
        notes=[
            f"Sampled policy. Line: mean over seeds. Band: {BAND}. {ORDER_NOTE}",
            *divergence_notes(results),
            *footnotes.lines,
        ],
        ends=False,
    )
