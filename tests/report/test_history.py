"""How results moved over the versions of code and settings in one folder."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_support import run_apart, run_here
from scipy import stats
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.document import ReportDocument
from haepo_bench.report.document_history import AlgorithmHistory
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import to_html
from haepo_bench.report.writers import to_latex, to_markdown
from haepo_bench.results.code import write_code
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

SEEDS = 5
ENDS = {"a": 0.0, "b": 0.02, "c": 1.0}  # what each code adds to the final return
DAYS = {"a": "2026-01-03", "b": "2026-01-01", "c": "2026-02-01"}


def runs_of(code: str, algorithm: str = "grpo", **changes: object) -> list[RunRecord]:
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 0.1, SEEDS)
    ends = [1.0 + ENDS[code] + float(each) * (1 + "abc".index(code)) for each in noise]
    git = {"commit": code * 40, "dirty": code == "c"}
    return [
        record(
            algorithm=algorithm,
            seed=seed,
            returns=[0.0, 0.5, 0.6, ends[seed], ends[seed]],
            code_hash=code * 64,
            provenance={"started": f"{DAYS[code]}T10:0{seed}:00+00:00", "git": git},
            **changes,
        )
        for seed in range(SEEDS)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Code b was run first, then a, then c, which the plan asks for; ppo has one code."""
    store = Store(tmp_path / "made-up")
    put(store, *(run for code in "abc" for run in runs_of(code)), *runs_of("c", "ppo"))
    put_plan(store, [runs_of("c")[0], runs_of("c", "ppo")[0]], list(range(SEEDS)))
    return store


def only(document: ReportDocument) -> AlgorithmHistory:
    history = document.suites[0].history
    assert history is not None
    (own,) = history.algorithms
    return own


def finals(code: str) -> np.ndarray:
    return np.array([run.final["eval_return"] / 2 for run in runs_of(code)])  # references 0 and 2


def test_versions_are_in_the_order_of_their_first_runs_with_changes_between_neighbours(store: Store) -> None:
    document = build_report(store.root)
    own = only(document)
    assert (own.algorithm, [version.commits for version in own.versions]) == (
        "grpo",
        [["b" * 40], ["a" * 40], ["c" * 40 + " with changes"]],
    )
    assert [version.shown for version in own.versions] == [False, False, True]
    assert [version.first for version in own.versions] == [f"{DAYS[code]}T10:00:00+00:00" for code in "bac"]
    p_values = []
    for old, new, version in zip("ba", "ac", own.versions[1:], strict=True):
        final, area = version.measures
        assert (final.measure, area.measure) == ("final_score", "area")
        x, y = finals(new), finals(old)
        assert final.values == pytest.approx(x)
        assert final.change is not None
        assert area.change is not None
        assert final.change.difference == pytest.approx(x.mean() - y.mean())
        assert final.change.low is not None
        assert final.change.high is not None
        assert final.change.low < final.change.difference < final.change.high
        exact = stats.permutation_test(
            (x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True, n_resamples=np.inf
        )
        assert final.change.p_permutation == pytest.approx(exact.pvalue)
        # The area is that of a step function, whose last quarter alone differs.
        assert area.change.difference == pytest.approx((x.mean() - y.mean()) / 4)
        p_values += [final.change.p_permutation, area.change.p_permutation]
    history = document.suites[0].history
    assert history is not None
    assert history.tests == 4
    smallest = min(p for p in p_values if p is not None)
    assert own.versions[2].measures[0].change.p_adjusted == pytest.approx(4 * smallest)  # type: ignore[union-attr]
    assert [version.measures[0].change.outcome for version in own.versions[1:]] == [  # type: ignore[union-attr]
        "no difference shown",
        "better",
    ]


def test_the_shown_version_has_the_numbers_of_the_rest_of_the_report(store: Store) -> None:
    document = build_report(store.root)
    shown = only(document).versions[-1]
    result = next(each for each in document.suites[0].tasks[0].algorithms if each.algorithm == "grpo")
    assert [each.estimate for each in shown.measures] == [result.final_score, result.area]
    assert document.suites[0].not_shown == []


def test_what_changed_is_named(store: Store) -> None:
    for code, text in (("b", "1"), ("a", "2")):
        write_code(
            store, folder_of(runs_of(code)[0]), {"module haepo_bench.objectives.grpo": text, "package torch": "2.12"}
        )
    first, second, third = only(build_report(store.root)).versions
    assert (first.code_changes, second.code_changes, third.code_changes) == (None, ["objectives.grpo"], None)
    rows = list(csv.DictReader(io.StringIO(more_csv(build_report(store.root))["history.csv"])))
    assert [(row["version"], row["measure"]) for row in rows[:2]] == [("1", "final_score"), ("1", "area")]
    assert rows[2]["code_changes"] == "objectives.grpo"


def test_runs_that_did_not_change_are_not_tested(store: Store) -> None:
    again = [run.model_copy(update={"code_hash": "d" * 64}) for run in runs_of("c")]
    later = {**again[0].provenance, "started": "2026-03-01T00:00:00+00:00"}
    put(store, *(run.model_copy(update={"provenance": later}) for run in again))
    history = build_report(store.root).suites[0].history
    assert history is not None
    change = history.algorithms[0].versions[-1].measures[0].change
    assert change is not None
    assert (change.outcome, change.difference, change.p_permutation, history.tests) == ("identical", 0.0, None, 4)


@pytest.mark.parametrize(("seeds", "outcome"), [(4, "too few seeds"), (5, "better")])
def test_versions_whose_seeds_could_show_no_difference_say_so(tmp_path: Path, seeds: int, outcome: str) -> None:
    # Two tests, final score and area: of the 70 divisions of four and four Holm makes 2 * 2/70 at best, of 252 4/252.
    store = Store(tmp_path / "made-up")
    put(store, *(run for code in "bc" for run in runs_of(code)[:seeds]))
    put_plan(store, runs_of("c")[:1], list(range(seeds)))
    document = build_report(store.root)
    final = only(document).versions[1].measures[0]
    assert final.change is not None
    assert final.change.outcome == outcome
    assert ("too few seeds, p = 0.057" in to_latex(document)) == (outcome == "too few seeds")


def test_other_budgets_settings_and_failures(store: Store) -> None:
    marks = [0, 50, 100, 150, 200]
    settings = {"task": "bandit/10-arm", "algorithm": {"parameters": {"learning_rate": 0.1}}}
    started = {"started": "2026-01-02T00:00:00+00:00"}
    longer = record(algorithm="grpo", marks=marks, settings_hash="6" * 64, settings=settings, provenance=started)
    failed = record(
        algorithm="grpo", seed=1, settings_hash="6" * 64, status="failed", error="no memory", provenance=started
    )
    put(store, longer, failed)
    _, second, third, _ = only(build_report(store.root)).versions
    assert second.settings_changes == ["algorithm.parameters.learning_rate: absent -> 0.1"]
    assert (second.seeds, second.planned) == ([0], 2)
    assert second.not_comparable == "the budgets differ: 100 and 200 env steps"
    assert third.not_comparable == "the budgets differ: 200 and 100 env steps"
    assert {each.change.outcome for each in second.measures if each.change} == {"not tested"}


def test_a_folder_of_one_code_has_no_history(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    put(store, *runs_of("c"))
    put_plan(store, runs_of("c")[:1], list(range(SEEDS)))
    document = build_report(store.root)
    assert document.suites[0].history is None
    for text in (to_html(document, [{}]), to_markdown(document, lambda *_: []), to_latex(document)):
        assert "History" not in text


def test_every_format_has_it(store: Store) -> None:
    document = build_report(store.root)
    page, markdown, latex = to_html(document, [{}]), to_markdown(document, lambda *_: []), to_latex(document)
    assert 'id="s1-history"' in page
    assert "2026-01-03 10:00 · aaaaaaa" in page
    assert "## History" in markdown
    assert "2026-02-01 10:00 (cccccccccc+)" in markdown
    assert r"\label{tab:made-up:bandit-10-arm-history}" in latex
    assert "better, p = " in latex
    assert ReportDocument.model_validate_json(document.model_dump_json()) == document


LOSS = '''from haepo_bench.api import Objective, ObjectiveOutput, TrajectoryBatch


class Own(Objective):
    """Policy gradient. loss = - mean_k R_k L_k,   L_k = sum_t log pi(a_t|s_t)"""

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        advantages = batch.returns - batch.returns.mean(-1, keepdim=True)
        likelihood = batch.masked_sum(batch.log_probs)
        return ObjectiveOutput(-(advantages.to(batch.dtype) * likelihood).mean((-1, -2)), {})
'''
SUITE = """
name: own
seeds: 3
budget: {env_steps: 300}
evaluation: {every: 100}
tasks: [bandit/10-arm]
algorithms: [./own.py]
"""


def test_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A loss of the suite's folder is edited between runs: its runs of before stay in the folder."""
    (tmp_path / "own.yaml").write_text(SUITE)
    for source in (LOSS, LOSS.replace("-(advantages", "(advantages"), LOSS):  # back: the first runs are there already
        (tmp_path / "own.py").write_text(source)
        done = run_apart("run", "own.yaml", "--quiet", cwd=tmp_path)
        assert done.code == 0, done.err
    results = str(tmp_path / "results" / "own")
    document = json.loads(run_here(capsys, "report", results, "--format", "json").out)
    (own,) = document["suites"][0]["history"]["algorithms"]
    first, second = own["versions"]
    assert (first["shown"], second["shown"]) == (True, False)
    assert second["code_changes"] == ["algorithm file"]
    assert second["measures"][0]["change"]["difference"] < 0
    assert "algorithm file" in run_here(capsys, "report", results, "--format", "md").out
    pages = []
    for name in ("one", "two"):
        assert run_here(capsys, "report", results, "--out", str(tmp_path / name)).code == 0
        pages.append((tmp_path / name / "report.html").read_bytes())
    same = pages[0] == pages[1]  # apart: a page is too long to be explained
    assert same
    assert b's1-history"' in pages[0]
    shutil.rmtree(tmp_path / "results" / "own" / next(Path(results).glob("*--own--*-*" + second["code_hash"][:8])).name)
    document = json.loads(run_here(capsys, "report", results, "--format", "json").out)
    assert document["suites"][0]["history"] is None
