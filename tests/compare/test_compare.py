"""Two results folders side by side: the numbers, against calculations of their own."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import run_apart, run_here
from scipy import stats
from synthetic_runs import MARKS, put, put_plan, record, showcase

from haepo_bench.compare import page as compare_page
from haepo_bench.compare import tables as compare_tables
from haepo_bench.compare.build import compare_results
from haepo_bench.compare.document import CompareDocument
from haepo_bench.results.store import Store

SEEDS = 6


def returns(level: float, seed: int, spread: float = 0.3) -> list[float]:
    rising = np.linspace(0.1, level, len(MARKS))
    return (rising + spread * np.sin(3.7 * seed + level) * rising).tolist()


def side(root: Path, levels: dict[str, float], seeds: int = SEEDS, **changes: Any) -> Path:
    """A store of one task; each algorithm at a level of its own."""
    store = Store(root / "made-up")
    runs = [
        record(algorithm=name, seed=seed, returns=returns(level, seed), **changes)
        for name, level in levels.items()
        for seed in range(seeds)
    ]
    put(store, *runs)
    put_plan(store, runs, list(range(seeds)))
    return store.root


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """`reinforce` stays as it is, `grpo` gets better by far, `dpo` hardly changes; `ppo` is new, another gone."""
    root = tmp_path_factory.mktemp("compare")
    a = side(root / "a", {"reinforce": 1.0, "grpo": 0.4, "dpo": 1.0, "haepo-weighted": 1.0})
    b = side(root / "b", {"reinforce": 1.0, "grpo": 1.6, "dpo": 1.01, "ppo": 1.0}, code_hash="d" * 64)
    return a, b


@pytest.fixture(scope="module")
def document(folders: tuple[Path, Path]) -> CompareDocument:
    return compare_results(*folders)


def scores(level: float, of: str) -> np.ndarray:
    """[seed]: made without the package: references 0 and 2, step function over four equal steps."""
    curves = np.array([returns(level, seed) for seed in range(SEEDS)]) / 2
    return curves[:, -1] if of == "final" else curves[:, :-1].mean(axis=1)


def test_every_number(document: CompareDocument) -> None:
    cells = {cell.algorithm: cell for cell in document.suites[0].cells}
    assert list(cells) == ["reinforce", "grpo", "dpo"]
    p_values = {}
    for name, (before, after) in {"grpo": (0.4, 1.6), "dpo": (1.0, 1.01)}.items():
        for of in ("final", "area"):
            found = getattr(cells[name], of)
            x, y = scores(after, of), scores(before, of)
            assert found.measure == {"final": "final_score", "area": "area"}[of]
            assert found.a.mean == pytest.approx(y.mean(), rel=1e-12)
            assert found.difference == pytest.approx(x.mean() - y.mean(), rel=1e-12)
            exact = stats.permutation_test(
                (x, y), lambda u, v, axis: u.mean(axis=axis) - v.mean(axis=axis), n_resamples=np.inf, vectorized=True
            )
            assert found.p_permutation == pytest.approx(exact.pvalue, abs=1e-12)
            assert found.p_mann_whitney == pytest.approx(stats.mannwhitneyu(x, y).pvalue, abs=1e-12)
            assert found.seed_correlation == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
            assert found.low < found.difference < found.high
            assert found.bootstrap_low < found.difference < found.bootstrap_high
            # Power of Welch's test at the detectable difference, from scipy's noncentral t.
            error = np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / SEEDS)
            degrees = error**4 / ((x.var(ddof=1) / SEEDS) ** 2 + (y.var(ddof=1) / SEEDS) ** 2) * (SEEDS - 1)
            critical = stats.t.ppf(0.975, degrees)
            shift = found.smallest_detectable / error
            power = stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift)
            assert power == pytest.approx(0.8, abs=1e-6)
            p_values[name, of] = exact.pvalue
    ordered = sorted(p_values, key=lambda key: p_values[key])
    so_far = 0.0
    for rank, key in enumerate(ordered):
        so_far = max(so_far, min(1.0, p_values[key] * (len(ordered) - rank)))
        assert getattr(cells[key[0]], key[1]).p_adjusted == pytest.approx(so_far, abs=1e-12)
    assert document.tests == 4
    assert (cells["grpo"].final.outcome, cells["dpo"].final.outcome) == ("better", "no difference shown")


def test_identical_runs_are_said_to_be_identical_and_not_tested(document: CompareDocument) -> None:
    cell = document.suites[0].cells[0]
    assert (cell.algorithm, cell.identical_runs, cell.shared_seeds) == ("reinforce", SEEDS, SEEDS)
    assert (cell.final.outcome, cell.final.difference, cell.final.p_permutation) == ("identical", 0.0, None)
    assert (cell.settings_same, cell.code_same) == (True, False)


def test_the_clock_does_not_count_but_every_other_bit_does(tmp_path: Path) -> None:
    a = side(tmp_path / "a", {"grpo": 1.0}, seeds=3)
    b = side(tmp_path / "b", {"grpo": 1.0}, seeds=3)
    for path in b.glob("*/seed-*.json"):
        run = json.loads(path.read_text())
        run["curve"]["wall_seconds"] = [value + 7 for value in run["curve"]["wall_seconds"]]
        if path.name == "seed-1.json":
            value = run["curve"]["eval_return"][2]
            run["curve"]["eval_return"][2] = float(np.nextafter(value, 9))
        path.write_text(json.dumps(run))
    (cell,) = compare_results(a, b).suites[0].cells
    assert (cell.identical_runs, cell.shared_seeds) == (2, 3)
    assert cell.final.outcome != "identical"


def test_one_sided_cells_and_missing_runs_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    a = side(tmp_path, {"grpo": 0.4, "dpo": 1.0}, seeds=4)
    next(a.glob("*grpo*")).joinpath("seed-2.json").unlink()
    next(a.glob("*dpo*")).joinpath("seed-0.json").write_text("{")
    document = compare_results(a, folders[1])
    suite = document.suites[0]
    assert [cell.algorithm for cell in suite.only_b] == ["reinforce", "ppo"]
    grpo, dpo = suite.cells
    assert (grpo.a.shown, grpo.a.planned, grpo.b.shown) == (3, 4, SEEDS)
    assert [(run.seed, run.status) for run in grpo.a.missing] == [(2, "missing")]
    assert [run.status for run in dpo.a.missing] == ["damaged"]
    assert suite.damaged_a[0].file.endswith("seed-0.json")


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    old = {"task": {"version": 1}, "algorithm": {"parameters": {"learning_rate": 0.1, "epochs": 2}}}
    new = {"task": {"version": 2}, "algorithm": {"parameters": {"learning_rate": 0.2, "epochs": 2, "clip": 0.2}}}
    a = side(tmp_path / "a", {"grpo": 1.0}, settings=old)
    b = side(
        tmp_path / "b",
        {"grpo": 1.0},
        settings=new,
        settings_hash="6" * 64,
        references=(0.0, 4.0),
        marks=[0, 5, 10, 15, 20],
    )
    (cell,) = compare_results(a, b).suites[0].cells
    assert not cell.settings_same
    assert {change.key: (change.a, change.b) for change in cell.settings_changes} == {
        "task.version": ("1", "2"),
        "algorithm.parameters.learning_rate": ("0.1", "0.2"),
        "algorithm.parameters.clip": (None, "0.2"),
    }
    said = " ".join(cell.warnings)
    assert "references differ" in said
    assert "budgets differ: 100 and 20" in said
    assert "versions differ: 1 and 2" in said
    assert cell.final.measure == "final_return"


def test_cost_ratios(tmp_path: Path) -> None:
    cost = {"wall_seconds": 2.0, "peak_memory_bytes": 100.0}
    a = side(tmp_path / "a", {"grpo": 1.0}, cost=cost)
    b = side(tmp_path / "b", {"grpo": 1.0}, cost={"wall_seconds": 5.0, "peak_memory_bytes": 50.0})
    (cell,) = compare_results(a, b).suites[0].cells
    ratios = cell.cost_ratios
    assert (ratios.wall_seconds, ratios.peak_memory_bytes, ratios.cpu_seconds) == (2.5, 0.5, None)


def test_a_few_seeds_get_no_verdict(tmp_path: Path) -> None:
    a, b = (side(tmp_path / name, {"grpo": level}, seeds=1) for name, level in (("a", 0.1), ("b", 1.9)))
    (cell,) = compare_results(a, b).suites[0].cells
    assert (cell.final.outcome, cell.final.low, cell.final.p_permutation) == ("not tested", None, None)
    assert cell.final.difference == pytest.approx((returns(1.9, 0)[-1] - returns(0.1, 0)[-1]) / 2)


@pytest.mark.parametrize(("seeds", "outcome"), [(2, "too few seeds"), (4, "too few seeds"), (5, "better")])
def test_seeds_too_few_to_show_any_difference_are_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: int, outcome: str
) -> None:
    """Two tests: the least p-values, adjusted, are 0.67 with two seeds a side, 0.057 with four, 0.016 with five."""
    a, b = (side(tmp_path / name, {"grpo": level}, seeds=seeds) for name, level in (("a", 0.1), ("b", 1.9)))
    (cell,) = compare_results(a, b).suites[0].cells
    assert cell.final.p_permutation == pytest.approx(2 / math.comb(2 * seeds, seeds))
    for measure in (cell.final, cell.area):
        assert (measure.outcome, measure.smallest_detectable is None) == (outcome, outcome == "too few seeds")
    says = " ".join(run_here(capsys, "compare", str(a), str(b), "--format", "md").out.split())
    assert ("too few seeds to show any difference" in says) == (outcome == "too few seeds")
    assert "(detectable" not in says


def test_a_test_of_many_seeds_does_not_suffer_from_others_of_few(tmp_path: Path) -> None:
    for name, level in (("a", 0.1), ("b", 1.9)):
        runs = [
            record(algorithm=algorithm, seed=seed, returns=returns(level, seed))
            for algorithm, seeds in (("grpo", 6), ("dpo", 3))
            for seed in range(seeds)
        ]
        put(Store(tmp_path / name), *runs)
    cells = compare_results(tmp_path / "a", tmp_path / "b").suites[0].cells
    assert {cell.algorithm: cell.final.outcome for cell in cells} == {"grpo": "better", "dpo": "too few seeds"}


def test_cells_without_results_change_no_word_about_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        runs = [record(algorithm=own, seed=seed) for own in ("grpo", "dpo") for seed in range(3)]
        store = Store(tmp_path / name)
        put_plan(store, [record(algorithm="reinforce"), *runs], [0, 1, 2])
        put(store, *(run for run in runs if name == "a" or run.algorithm == "grpo"))
    document = compare_results(tmp_path / "a", tmp_path / "b")
    assert "no result on either side on bandit/10-arm: reinforce" in compare_tables.omission_lines(document)
    assert compare_tables.headline(document).endswith("1 without a result on either side.")
    # One side's references are enough to know what a score is.
    assert {cell.final.measure for cell in compare_tables.cells(document)} == {"final_score"}
    assert not any(cell.warnings for cell in compare_tables.cells(document))
    page = compare_page.to_html(document)
    assert "score (0: random, 1: solved)" in page
    assert "evaluation return" not in page


def test_one_measure_a_table(tmp_path: Path) -> None:
    for name, solved in (("a", 2.0), ("b", 4.0)):
        runs = [record(algorithm="grpo", seed=seed) for seed in range(3)]
        runs += [record(algorithm="dpo", seed=seed, references=(0.0, solved)) for seed in range(3)]
        put(Store(tmp_path / name), *runs)
    document = compare_results(tmp_path / "a", tmp_path / "b")
    assert sorted(compare_tables.by_task(document)) == [
        ("bandit/10-arm", "final_return"),
        ("bandit/10-arm", "final_score"),
    ]


def test_suites_go_together_by_name(tmp_path: Path) -> None:
    for name, level in (("a", 0.2), ("b", 1.5)):
        for suite in ("first", name):
            store = Store(tmp_path / name / suite)
            put(store, *(record(seed=seed, returns=returns(level, seed), suite=suite) for seed in range(3)))
    document = compare_results(tmp_path / "a", tmp_path / "b")
    assert [suite.suite_a for suite in document.suites] == ["first"]
    assert (document.suites_only_a, document.suites_only_b) == (["a"], ["b"])
    # Where each side has one, these two.
    alone = compare_results(tmp_path / "a" / "a", tmp_path / "b" / "b")
    assert [(suite.suite_a, suite.suite_b) for suite in alone.suites] == [("a", "b")]


def test_clear_differences_survive_hundreds_of_tests() -> None:
    """Thirty seeds against thirty without any overlap: the p-value of drawn rearrangements has no high floor."""
    from haepo_bench.compare.differences import compare_measure

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=30), rng.normal(size=30) + 5
    found = compare_measure("area", dict(enumerate(x)), dict(enumerate(y)), identical=False)
    assert found.p_permutation == pytest.approx(2 / (20 * 9_999 + 1))


def test_more_seeds_of_the_same_runs_are_identical(tmp_path: Path) -> None:
    a, b = side(tmp_path / "a", {"grpo": 1.0}, seeds=3), side(tmp_path / "b", {"grpo": 1.0}, seeds=5)
    (cell,) = compare_results(a, b).suites[0].cells
    assert (cell.final.outcome, cell.identical_runs, cell.shared_seeds) == ("identical", 3, 3)
    assert (cell.a.shown, cell.b.shown) == (3, 5)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """200 comparisons of ten seeds with ten of the same distribution: at most 5 % of first tests below 0.05.

    With 200 trials a rate of 5 % stays below 9 % with probability 0.99.
    """
    from haepo_bench.compare.differences import compare_measure

    rng = np.random.default_rng(5)
    found = 0
    for _ in range(200):
        sample = rng.beta(2, 1, size=(2, 10))
        one = compare_measure("area", *(dict(enumerate(own)) for own in sample), identical=False)
        found += one.p_permutation is not None and one.p_permutation < 0.05
    assert found <= 18


@pytest.mark.parametrize("form", ["text", "md", "json"])
def test_formats_on_the_command_line(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], form: str, tmp_path: Path
) -> None:
    done = run_here(capsys, "compare", *map(str, folders), "--format", form)
    assert (done.code, done.err) == (0, "")
    again = run_here(capsys, "compare", *map(str, folders), "--format", form, "--out", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text(encoding="utf-8") == done.out
    assert again.out == f"wrote {tmp_path / 'file'}\n"
    if form == "json":
        assert CompareDocument.model_validate_json(done.out).suites[0].cells[1].algorithm == "grpo"
        return
    says = " ".join(done.out.split())
    for needed in ("1 better", "1 identical", "1 no difference shown", "only B has ppo", "only A has haepo"):
        assert needed in says.replace("\\", ""), needed


def test_markdown_is_short_and_shows_what_changed_first(folders: tuple[Path, Path]) -> None:
    from haepo_bench.compare.writers import to_markdown

    text = to_markdown(compare_results(*folders))
    head, *folds = text.split("<details>")
    table = [line for line in head.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert "grpo" in table[2]
    assert table[2].count("|") == table[0].count("|")
    assert len(folds) == text.count("</details>") == 3
    assert "2 other cells" in folds[0]
    assert len(text) < 6_000


def test_a_large_comparison_fits_a_comment(folders: tuple[Path, Path]) -> None:
    from haepo_bench.compare.writers import MAX_CHARACTERS, to_markdown

    document = compare_results(*folders)
    suite = document.suites[0]
    many = [cell.model_copy(update={"algorithm": f"{cell.algorithm}-{i}"}) for cell in suite.cells for i in range(400)]
    large = document.model_copy(update={"suites": [suite.model_copy(update={"cells": many})]})
    text = to_markdown(large)
    assert len(text) < MAX_CHARACTERS
    assert "more cells left out here" in text


def test_text_of_others_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "<script>alert(1)</script>|`[x](y)"
    for name in ("a", "b"):
        put(Store(tmp_path / name), *(record(evil, seed=seed, suite=evil) for seed in range(2)))
    done = run_here(capsys, "compare", str(tmp_path / "a"), str(tmp_path / "b"), "--format", "md")
    assert done.code == 0
    assert "<script>" not in done.out
    assert re.search(r"(?<!\\)`", done.out.replace("\\\\", "")) is None


def test_exit_codes(tmp_path: Path, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    other = side(tmp_path / "other", {"ppo-batched": 1.0})
    (tmp_path / "empty").mkdir()
    a = str(folders[0])
    for arguments, code, says in [
        ([a, str(tmp_path / "nowhere")], 4, "no such folder"),
        ([a, str(tmp_path / "empty")], 2, "nothing to compare"),
        ([a, str(other)], 2, "nothing to compare"),
        ([a, a, "--format", "pdf"], 4, "pdf"),
        ([a], 4, "compare needs a second results folder"),
        ([a, a, "--out", str(tmp_path / "empty")], 4, "cannot write"),
    ]:
        done = run_here(capsys, "compare", *arguments)
        assert (done.code, done.out) == (code, ""), arguments
        assert says in done.err
        assert "Traceback" not in done.err


def test_as_a_user_runs_it(tmp_path: Path) -> None:
    showcase(tmp_path / "a", seeds=3, marks=4, only=("random-walk/20", "gym/CartPole-v1"))
    showcase(tmp_path / "b", seeds=4, marks=4, only=("random-walk/20", "gym/CartPole-v1"))
    done = run_apart("compare", "a", "b", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "identical on 3 shared seeds, 1 more on one side only" in done.out
    assert "dpo on gym/CartPole-v1, A seed 1: failed (RuntimeError: the environment went away)" in done.out


def test_every_field_of_the_document_is_described() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "how-to" / "compare.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    schema = CompareDocument.model_json_schema(mode="serialization")
    for name, model in {"CompareDocument": schema, **schema["$defs"]}.items():
        assert set(model.get("properties", {})) <= named, name
