"""Over-optimisation of a learnt reward in the report; every number of it is recomputed in test_recomputed.py."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import run_apart
from synthetic_runs import overoptimised, put, put_plan, record

from haepo_bench.report.charts.building import overoptimisation
from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.document import Overoptimisation, ReportDocument
from haepo_bench.report.figures.suite import suite_pictures
from haepo_bench.report.files import render
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.styles import suite_styles
from haepo_bench.report.tables.overoptimisation import overoptimisation_table
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

TASK = "lm/synthetic-summary"
SEEDS = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three algorithms, of which one has a diverged and one a missing seed, beside a task without a proxy."""
    store = Store(tmp_path_factory.mktemp("results") / "made-up")
    runs = [overoptimised(name, seed) for name in ("haepo-weighted", "grpo") for seed in SEEDS]
    runs += [overoptimised("reinforce", seed, alive=5 if seed == 1 else 9) for seed in SEEDS]
    runs += [record("bandit/10-arm", name, seed) for name in ("grpo", "reinforce") for seed in SEEDS]
    put_plan(store, runs, SEEDS)
    put(store, *(run for run in runs if (run.task, run.algorithm, run.seed) != (TASK, "grpo", 2)))
    return store.root


@pytest.fixture(scope="module")
def document(root: Path) -> ReportDocument:
    return build_report(root)


def found(document: ReportDocument, algorithm: str) -> Overoptimisation:
    (task,) = [task for task in document.suites[0].tasks if task.task == TASK]
    (own,) = [each.overoptimisation for each in task.algorithms if each.algorithm == algorithm]
    assert own is not None
    return own


def columns(root: Path, algorithm: str) -> dict[str, Any]:
    """{column: [run, mark]} from the files of one algorithm."""
    files = sorted(root.glob(f"lm*--{algorithm}--*/seed-*.json"))
    curves = [json.loads(file.read_text())["curve"] for file in files]
    return {name: np.array([curve[name] for curve in curves], dtype=float) for name in curves[0]}


def test_summary_numbers_follow_from_the_files(root: Path, document: ReportDocument) -> None:
    """grpo without its missing seed: peak, fall and gap in numpy alone; three seeds have no interval."""
    own, own_columns = found(document, "grpo"), columns(root, "grpo")
    gold, proxy = own_columns["eval_return"], own_columns["proxy_return"]
    assert own.sqrt_kl == pytest.approx(np.sqrt(own_columns["kl_initial"]).mean(0))
    peak = int(gold.mean(0).argmax())
    assert 0 < peak < 8
    assert (own.peak.env_steps, own.peak.sqrt_kl) == (100 * peak, own.sqrt_kl[peak])
    assert own.peak.gold.mean == pytest.approx(gold[:, peak].mean())
    assert (own.start.proxy.mean, own.end.proxy.mean) == pytest.approx((proxy[:, 0].mean(), proxy[:, -1].mean()))
    fall = gold[:, peak] - gold[:, -1]
    gap = (proxy[:, -1] - proxy[:, 0]) / own_columns["proxy_return_std"][:, 0]
    gap -= (gold[:, -1] - gold[:, 0]) / own_columns["eval_return_std"][:, 0]
    for estimate, values in ((own.fall, fall), (own.gap, gap)):
        assert estimate is not None
        assert estimate.mean == pytest.approx(values.mean())
        assert (estimate.low, estimate.high, estimate.n) == (None, None, 3)


def test_a_diverged_seed_counts_in_gold_alone(root: Path, document: ReportDocument) -> None:
    own, own_columns = found(document, "reinforce"), columns(root, "reinforce")
    gold = np.nan_to_num(own_columns["eval_return"], nan=0.0)  # the random policy's return
    done = np.array([True, False, True, True])
    assert own.gold.mean == pytest.approx(gold.mean(0))
    assert own.gold.n == [4] * 9
    assert own.proxy.mean == pytest.approx(own_columns["proxy_return"][done].mean(0))
    assert own.sqrt_kl == pytest.approx(np.sqrt(own_columns["kl_initial"][done]).mean(0))
    assert own.gap.n == 3
    assert own.fall is not None
    assert own.fall.n == 4


def test_only_the_task_with_a_proxy_has_it(document: ReportDocument) -> None:
    (suite,) = document.suites
    (other,) = [task for task in suite.tasks if task.task != TASK]
    assert [result.overoptimisation for result in other.algorithms] == [None, None]
    assert overoptimisation_table(other) is None
    assert overoptimisation(other, suite_styles(suite)) is None
    pictures = suite_pictures(suite)
    assert [picture.name for picture in pictures[other.task]] == ["bandit_10-arm-steps", "bandit_10-arm-seconds"]
    assert [picture.name for picture in pictures[TASK]][2:] == [
        "lm_synthetic-summary-kl",
        "lm_synthetic-summary-diagnostics",
    ]


@pytest.mark.slow
def test_every_format_shows_it(root: Path, document: ReportDocument, tmp_path: Path) -> None:
    own = found(document, "grpo")
    assert own.fall is not None
    fall, gap = f"{own.fall.mean:.3f}", f"{own.gap.mean:.2f}"
    done = run_apart("report", str(root), "--out", str(tmp_path), "--figures", "svg,png")
    assert done.code == 0, done.err
    texts = {"html": (tmp_path / "report.html").read_text(encoding="utf-8")}
    assert len(list((tmp_path / "figures").rglob("lm_synthetic-summary-kl.*"))) == 2
    for form in ("md", "latex", "csv", "json"):
        done = run_apart("report", str(root), "--format", form)
        assert done.code == 0, done.err
        texts[form] = done.out
    for form, says in {
        "html": "√KL to the initial",
        "md": "Peak at √KL",
        "latex": r"Peak at \ensuremath{\surd}KL",
    }.items():
        for text in (says, fall, gap, "noisy means flatters", "A diverged run counts in gold"):
            assert text in texts[form], (form, text)
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(texts["csv"]))
        if (row["task"], row["algorithm"], row["measure"]) == (TASK, "grpo", "kl_initial")
    ]
    assert float(row["mean"]) == pytest.approx(columns(root, "grpo")["kl_initial"][:, -1].mean())
    tasks = json.loads(texts["json"])["suites"][0]["tasks"]
    assert [each["overoptimisation"] is None for task in tasks for each in task["algorithms"]] == [False] * 3 + [
        True
    ] * 2


def test_the_csv_file_has_the_documents_numbers(document: ReportDocument) -> None:
    rows = list(csv.DictReader(io.StringIO(more_csv(document)["overoptimisation.csv"])))
    assert [row["algorithm"] for row in rows] == ["haepo-weighted", "grpo", "reinforce"]
    own = found(document, "grpo")
    assert own.fall is not None
    for place, at in (("start", own.start), ("peak", own.peak), ("end", own.end)):
        assert float(rows[1][f"{place}_sqrt_kl"]) == at.sqrt_kl
        assert float(rows[1][f"{place}_gold_mean"]) == at.gold.mean
        assert float(rows[1][f"{place}_proxy_n"]) == at.proxy.n
    assert (float(rows[1]["fall_mean"]), float(rows[1]["gap_mean"])) == (own.fall.mean, own.gap.mean)


def test_the_chart_keeps_the_order_of_marks(document: ReportDocument) -> None:
    (suite,) = document.suites
    chart = overoptimisation(suite.tasks[0], suite_styles(suite))
    assert chart is not None
    place = chart.panels[0].lines[0].x["sqrt_kl"]
    assert list(place) == found(document, "haepo-weighted").sqrt_kl
    assert place[6] < place[5] < place[7]  # type: ignore[operator]


def without(run: RunRecord, *names: str) -> RunRecord:
    return run.model_copy(update={"curve": {name: own for name, own in run.curve.items() if name not in names}})


def only(tmp_path: Path, *runs: RunRecord) -> ReportDocument:
    put(Store(tmp_path), *runs)
    return build_report(tmp_path)


def test_runs_recorded_before_the_deviation_was_have_no_gap(tmp_path: Path) -> None:
    document = only(tmp_path, *(without(overoptimised("grpo", seed), "proxy_return_std") for seed in SEEDS))
    own = found(document, "grpo")
    assert (own.gap.mean, own.gap.n) == (None, 0)
    assert own.fall is not None
    assert own.fall.n == 4
    assert "No gap is known of grpo" in render(document, "md")


def test_a_reward_that_is_always_the_same_has_no_unit(tmp_path: Path) -> None:
    run = overoptimised("grpo", 0)
    run = run.model_copy(update={"curve": {**run.curve, "eval_return_std": [0.0] * 9}})
    own = found(only(tmp_path, run, overoptimised("grpo", 1)), "grpo")
    assert (own.gap.n, own.gap.low) == (1, None)


@pytest.mark.parametrize("missing", ["kl_initial", "proxy_return"])
def test_one_of_the_two_columns_is_not_enough(tmp_path: Path, missing: str) -> None:
    document = only(tmp_path, *(without(overoptimised("grpo", seed), missing) for seed in SEEDS))
    assert document.suites[0].tasks[0].algorithms[0].overoptimisation is None
    assert "ver-optimisation" not in render(document, "md")


def test_gold_that_never_fell_has_no_fall(tmp_path: Path) -> None:
    run = overoptimised("grpo", 0)
    run = run.model_copy(update={"curve": {**run.curve, "eval_return": [0.1 * i for i in range(9)]}})
    document = only(tmp_path, run)
    own = found(document, "grpo")
    assert (own.fall, own.peak.env_steps) == (None, 800)
    assert "none (highest at the end)" in render(document, "md")


def test_where_all_diverged_what_they_had_is_shown(tmp_path: Path) -> None:
    document = only(tmp_path, *(overoptimised("grpo", seed, alive=4) for seed in (0, 1)))
    own = found(document, "grpo")
    assert [value is None for value in own.sqrt_kl] == [False] * 4 + [True] * 5
    assert own.end.gold.mean == 0
    assert (own.end.proxy.n, own.gap.n) == (0, 0)
    (*_, picture) = suite_pictures(document.suites[0])[TASK]
    assert picture.name == "lm_synthetic-summary-kl"


def test_rounding_below_zero_is_no_distance(tmp_path: Path) -> None:
    run = overoptimised("grpo", 0)
    run = run.model_copy(update={"curve": {**run.curve, "kl_initial": [-1e-9, *run.curve["kl_initial"][1:]]}})
    own = found(only(tmp_path, run), "grpo")
    assert own.sqrt_kl[0] == 0
    assert own.sqrt_kl[1] == pytest.approx(math.sqrt(run.curve["kl_initial"][1] or 0))
