"""What is reached after more and more configurations, in every suite that was searched: from the compact tables.

    python studies/search_figure.py --out FILE.png

One panel a suite: the expected area of the best of m configurations, chosen by one tuning seed and scored by the other;
mean over replicates with its standard error (statistics/searches.py).
"""

import argparse
from pathlib import Path

import pandas as pd
from search_findings import best_of_scores

from haepo_bench.report.charts.description import ChartAlgorithm, ChartAxis, ChartLine, LineChart, LinePanel
from haepo_bench.report.charts.searches import TRIALS
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.figures.lines import overview_figure
from haepo_bench.report.figures.sheet import drawing, save
from haepo_bench.report.styles import Styles

TABLES = Path(__file__).parent / "tables"
#: Suites and their tables.
SEARCHED = {
    "paper-tuned": "paper-tuned-second.csv.gz",
    "exploration-tuned": "exploration-tuned.csv.gz",
    "language-tuned": "language-tuned.csv.gz",
}
AREA = ChartAxis("area", "area", "area of the best of m", "area")
#: Entries that use an algorithm under another name.
USES = {"haepo-listwise-proportional": "haepo-listwise"}


def panel(suite: str, runs: pd.DataFrame) -> LinePanel:
    """The means of all algorithms of a suite, each within its standard error."""
    lines = []
    for name, scores in best_of_scores(runs).items():
        mean, error = scores.mean(), scores.sem()
        band = Band(
            mean=mean.to_list(),
            low=(mean - error).to_list(),
            high=(mean + error).to_list(),
            n=[len(scores)] * len(mean),
            seeds=[],
        )
        lines.append(ChartLine(name, {TRIALS.key: [float(m) for m in scores.columns]}, {AREA.key: band}))
    return LinePanel(suite, (TRIALS,), (AREA,), tuple(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    panels = tuple(panel(suite, pd.read_csv(TABLES / table)) for suite, table in SEARCHED.items())
    names = dict.fromkeys(line.algorithm for each in panels for line in each.lines)
    styles = Styles((name, USES.get(name, name)) for name in names)
    chart = LineChart("", tuple(ChartAlgorithm(name, styles.of(name)) for name in names), panels)
    with drawing():
        out.write_bytes(save(overview_figure(chart, TRIALS), ["png"], tight=False)["png"])


if __name__ == "__main__":
    main()
