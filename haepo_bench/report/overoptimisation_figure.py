"""Gold and proxy reward against the square root of the KL to the initial policy, as a figure of two panels."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.curve_figures import band_line
from haepo_bench.report.document import TaskResult
from haepo_bench.report.dots import in_view
from haepo_bench.report.figure_sheet import Picture, legend_labels, line_style, save, sheet
from haepo_bench.report.overoptimisation_table import DISTANCE, ORDER_NOTE, divergence_notes, optimised
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables import Footnotes, heading
from haepo_bench.report.text import shorten


def overoptimisation_figure(task: TaskResult, name: str, styles: Styles) -> Picture:
    """Only for tasks with an algorithm that has both rewards and the KL."""
    results = optimised(task)
    own = [result for result, _ in results]
    footnotes = Footnotes(own)
    caption = [f"{band_line(own)} {ORDER_NOTE}", *divergence_notes(results), *footnotes.lines]
    labels = legend_labels(own, footnotes, n_of_seeds=True)
    figure, panels = sheet(8.6, 3.3, 1, 2, labels, caption, styles)
    panels[0].set_title(shorten(heading(task), 60), fontweight="bold", pad=8)
    for axes, reward in zip(panels, ("gold", "proxy"), strict=True):
        shown: list[float] = []
        edges: list[float] = []
        for number, (result, found) in enumerate(results):
            band = found.gold if reward == "gold" else found.proxy
            # Beyond some 1e300 matplotlib overflows.
            position, mean, low, high = (
                np.clip(np.array(values, dtype=float), -1e100, 1e100)
                for values in (found.sqrt_kl, band.mean, band.low, band.high)
            )
            style = line_style(styles, result.algorithm)
            every = max(1, len(position) // 5)
            axes.plot(position, mean, markevery=(number % every, every), **style)
            axes.fill_between(position, low, high, color=style["color"], alpha=0.13, linewidth=0)
            shown += mean[np.isfinite(mean)].tolist()
            edges += [*low[np.isfinite(low)].tolist(), *high[np.isfinite(high)].tolist()]
        axes.set_ylim(*in_view(shown, edges, None))
        axes.set_xlim(left=0)
        axes.set_xlabel(DISTANCE)
        axes.set_ylabel("gold reward (evaluation)" if reward == "gold" else "proxy reward (what training pays)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(6))
    return save(figure, f"{name}-kl", f"Gold and proxy reward on {task.task} against {DISTANCE}")
