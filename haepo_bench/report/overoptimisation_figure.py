"""Gold and proxy reward against the square root of the KL to the initial policy, as a figure of two panels."""

from matplotlib.ticker import MaxNLocator

from haepo_bench.report.curve_figures import band_line
from haepo_bench.report.document import TaskResult
from haepo_bench.report.dots import in_view
from haepo_bench.report.figure_sheet import Picture, draw_band, legend_labels, line_style, save, sheet
from haepo_bench.report.overoptimisation_table import DISTANCE, GOLD, ORDER_NOTE, PROXY, divergence_notes, optimised
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables import Footnotes, heading
from haepo_bench.text import shorten


def overoptimisation_figure(task: TaskResult, name: str, styles: Styles) -> Picture:
    """Only for tasks with an algorithm that has both rewards and the KL."""
    results = optimised(task)
    own = [result for result, _ in results]
    footnotes = Footnotes(own)
    caption = [f"{band_line(own)} {ORDER_NOTE}", *divergence_notes(results), *footnotes.lines]
    labels = legend_labels(own, footnotes, n_of_seeds=True)
    figure, panels = sheet(8.6, 3.3, 1, 2, labels, caption, styles)
    panels[0].set_title(shorten(heading(task), 60), fontweight="bold", pad=8)
    for axes, label in zip(panels, (GOLD, PROXY), strict=True):
        shown: list[float] = []
        edges: list[float] = []
        for number, (result, found) in enumerate(results):
            band = found.gold if label == GOLD else found.proxy
            drawn = draw_band(axes, found.sqrt_kl, band, line_style(styles, result.algorithm), number)
            shown += drawn.shown
            edges += drawn.edges
        axes.set_ylim(*in_view(shown, edges, None))
        axes.set_xlim(left=0)
        axes.set_xlabel(DISTANCE)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(6))
    return save(figure, f"{name}-kl", f"Gold and proxy reward on {task.task} against {DISTANCE}")
