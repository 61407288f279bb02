"""The report as data: every number recomputed from the stored files without our statistics."""

import json
import math
import statistics
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from scipy import optimize, stats
from synthetic_runs import FOOTNOTE, put, put_plan, record, showcase

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.report.document import AlgorithmResult, ReportDocument, SuiteResult, TaskResult
from haepo_bench.report.document_numbers import MeanEstimate
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.store import Store


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return showcase(tmp_path_factory.mktemp("results") / "made-up").root.parent


@pytest.fixture(scope="module")
def suite(results: Path) -> SuiteResult:
    (suite,) = build_report(results).suites
    return suite


def find(suite: SuiteResult, task: str, algorithm: str) -> tuple[TaskResult, AlgorithmResult]:
    of_task = next(each for each in suite.tasks if each.task == task)
    return of_task, next(each for each in of_task.algorithms if each.algorithm == algorithm)


def check(estimate: MeanEstimate | None, sample: list[float]) -> None:
    assert estimate is not None
    assert estimate.n == len(sample)
    assert estimate.mean == pytest.approx(statistics.fmean(sample))
    if len(sample) < 5:
        assert (estimate.low, estimate.high) == (None, None)
        return
    assert (estimate.low, estimate.high) == pytest.approx(interval(sample))


def interval(sample: list[float]) -> tuple[float, float]:
    """Where Hall's transformed t lies within Student's quantiles, found by looking for the ends."""
    n, mean, error = len(sample), statistics.fmean(sample), statistics.stdev(sample) / math.sqrt(len(sample))
    quantile = float(stats.t.ppf(0.975, n - 1))
    if n < 5 or error < 1e-12:
        return mean - quantile * error, mean + quantile * error
    a = float(stats.kstat(sample, 3)) / n**2 / error**3

    def lacking(t: float, end: float) -> float:
        return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 - end

    low, high = (mean - error * optimize.brentq(lacking, -1e3, 1e3, args=(end,)) for end in (quantile, -quantile))
    return low, high


def test_every_number_can_be_recomputed_from_the_files(results: Path, suite: SuiteResult) -> None:
    stored: dict[tuple[str, str], list[dict]] = {}
    for path in sorted((results / "made-up").glob("*/seed-*.json")):
        run = json.loads(path.read_text())
        if run["status"] in ("done", "diverged"):
            stored.setdefault((run["task"], run["algorithm"]), []).append(run)
    assert len(stored) == 24
    for (task, algorithm), runs in stored.items():
        of_task, result = find(suite, task, algorithm)
        marks = runs[0]["curve"]["env_steps"]
        widths = [after - before for before, after in pairwise(marks)]
        returns = [run["curve"]["eval_return"] for run in runs]
        if runs[0]["references"]:
            random, solved = runs[0]["references"]["random"], runs[0]["references"]["solved"]
            scores = [[0.0 if r is None else (r - random) / (solved - random) for r in curve] for curve in returns]
            returns = [[random if r is None else r for r in curve] for curve in returns]
            check(result.final_score, [curve[-1] for curve in scores])
            areas = [sum(s * w for s, w in zip(curve, widths, strict=False)) / marks[-1] for curve in scores]
            check(result.area, areas)
            assert result.curve is not None
            assert result.curve.score is not None
            assert result.curve.score.mean == pytest.approx([statistics.fmean(at) for at in zip(*scores, strict=True)])
        else:
            assert of_task.references is None
            assert (result.final_score, result.final_score_greedy, result.area) == (None, None, None)
        check(result.final_return, [curve[-1] for curve in returns])
        assert result.curve is not None
        assert result.curve.eval_return.mean == pytest.approx(
            [statistics.fmean(at) for at in zip(*returns, strict=True)]
        )
        clocks = [run["curve"]["wall_seconds"] for run in runs if run["status"] == "done"]
        assert result.curve.wall_seconds == pytest.approx([statistics.fmean(at) for at in zip(*clocks, strict=True)])
        assert result.cost["wall_seconds"] == pytest.approx(
            statistics.fmean(run["cost"]["wall_seconds"] for run in runs)
        )
        sizes = [run["curve"].get("effective_sample_size") for run in runs if run["status"] == "done"]
        if sizes[0] is None:
            assert "effective_sample_size" not in result.diagnostics
        else:
            check(result.diagnostics["effective_sample_size"], [column[-1] for column in sizes])


def test_missing_and_diverged_runs_are_counted_and_named(suite: SuiteResult) -> None:
    assert (suite.runs_planned, suite.runs_shown) == (120, 118)
    _, ppo = find(suite, "bandit/10-arm", "ppo")
    assert ppo.seeds.shown == [0, 1, 2, 3]
    assert [(run.seed, run.status) for run in ppo.seeds.missing] == [(4, "missing")]
    assert ppo.final_return.n == 4
    _, dpo = find(suite, "gym/CartPole-v1", "dpo")
    assert [(run.seed, run.reason) for run in dpo.seeds.missing] == [(1, "RuntimeError: the environment went away")]
    _, grpo = find(suite, "random-walk/20", "grpo")
    assert [(run.seed, run.reason) for run in grpo.seeds.diverged] == [(1, "the loss is not finite")]
    assert grpo.final_return.n == 5


def test_information_stands_beside_the_result(suite: SuiteResult) -> None:
    _, ppo = find(suite, "bandit/10-arm", "ppo")
    assert ppo.information.model_dump() == {"told": "per-step rewards", "critic": True, "discount": 0.98}
    _, haepo = find(suite, "bandit/10-arm", "haepo-listwise")
    assert (haepo.label, haepo.footnote) == ("HAEPO (variant B, listwise)", FOOTNOTE)


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    put(Store(tmp_path), record())
    result = build_report(tmp_path).suites[0].tasks[0].algorithms[0]
    check(result.final_score, [1.0])
    assert result.curve is not None
    assert result.curve.score is not None
    assert result.curve.score.low == [None] * 5


def test_a_diverged_run_stops_no_clock(tmp_path: Path) -> None:
    slow = record(seed=1, status="diverged", returns=[0.0, 0.1, 0.2, None, None])
    slow = slow.model_copy(update={"curve": {**slow.curve, "wall_seconds": [0, 100, 200, None, None]}})
    put(Store(tmp_path), record(seed=0), slow)
    curve = build_report(tmp_path).suites[0].tasks[0].algorithms[0].curve
    assert curve is not None
    assert curve.wall_seconds == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_the_json_is_valid_under_its_schema_and_deterministic(results: Path) -> None:
    texts = [build_report(results).model_dump_json() for _ in range(2)]
    assert texts[0] == texts[1]
    document = json.loads(texts[0], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    jsonschema.validate(document, ReportDocument.model_json_schema(mode="serialization"))
    assert ReportDocument.model_validate(document).model_dump_json() == texts[0]


def test_several_suites(tmp_path: Path) -> None:
    put(Store(tmp_path / "b"), record(suite="b"))
    put(Store(tmp_path / "a"), record(suite="a"))
    (tmp_path / "c").mkdir()
    assert [(suite.suite, suite.runs_shown) for suite in build_report(tmp_path).suites] == [
        ("a", 1),
        ("b", 1),
        ("c", 0),
    ]


def test_no_such_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(UserError) as error:
            build_report(path)
        assert error.value.exit_code == ExitCode.USAGE


def test_nothing_left_says_what_there_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    put(store, record(seed=0, status="failed", error="boom"))
    put_plan(store, [record()], [0, 1, 2])
    store.path("bandit%2F10-arm--reinforce--55555555-cccccccc", 1).write_text("{")
    with pytest.raises(UserError) as error:
        build_report(tmp_path)
    assert error.value.exit_code == ExitCode.RUN_FAILED
    for text in ("no run here has a result", "boom", "seed-1.json: damaged: not JSON", "seed 2: missing"):
        assert text in str(error.value)


def test_an_empty_folder_has_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run a suite first") as error:
        build_report(tmp_path)
    assert error.value.exit_code == ExitCode.RUN_FAILED


def test_returns_beyond_all_floats_are_undefined_not_fatal(tmp_path: Path) -> None:
    put(Store(tmp_path), *(record(seed=seed, returns=[1e308] * 5, references=(-1e308, 1e308)) for seed in range(3)))
    result = build_report(tmp_path).suites[0].tasks[0].algorithms[0]
    assert result.final_score is not None
    assert result.final_score.mean is None
