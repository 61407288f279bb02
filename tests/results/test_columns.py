"""No column of a run vanishes: what the registry names, what an objective declares, and what nobody has heard of."""

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cli_support import ROOT, run_apart
from synthetic_runs import put, record

from haepo_bench import catalogue
from haepo_bench.compare.build import compare_results
from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.figures.formats import FigureRequest
from haepo_bench.report.files import render, write_report
from haepo_bench.report.latex_text import latex
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.columns import CLOCK_COLUMNS, COLUMNS, MEASURED
from haepo_bench.results.declared_columns import clocks, declared
from haepo_bench.results.store import Store
from haepo_bench.text import markdown

PLUGIN = '''
from typing import ClassVar

import torch

from haepo_bench.objectives.base import Objective, ObjectiveOutput
from haepo_bench.results.columns import Column


class Telling(Objective):
    """Reports whatever comes to its mind."""

    summary: ClassVar[str] = "tells a lot"
    label: ClassVar[str] = "telling"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("said", "What was <said> & done", "ells", "declared beside the objective"),
        Column("ticks", "Ticks", "", "differs from run to run", clock=True),
        Column("never_recorded", "Never"),
    )

    def __call__(self, batch):
        loss = -(batch.returns * batch.masked_sum(batch.log_probs)).mean((-1, -2))
        told = torch.ones_like(loss).detach()
        names = ("unheard_of", "said", "ticks", "odd|name$ <b>_x", "=1+1")
        names += ("score", "status", "loss", "eval_return", "notes")
        return ObjectiveOutput(loss, {name: (2 + i) * told for i, name in enumerate(names)})
'''
#: What the plugin reports, by the name under which it is shown, and its value.
TOLD = {
    "unheard_of": 2,
    "said": 3,
    "ticks": 4,
    "odd|name$ <b>_x": 5,
    "=1+1": 6,
    "score_recorded": 7,
    "status_recorded": 8,
    "loss_recorded": 9,
    "eval_return_recorded": 10,
    "notes": 11,
}
#: Of the catalogue, what does not train an objective on tabular tasks.
ELSEWHERE = {"ppo", "dpo-offline", "repo", "genpo"}


class Ran(NamedTuple):
    """A suite of every objective of the catalogue and a plugin."""

    root: Path
    records: list[dict[str, Any]]
    out: Path

    def columns(self) -> set[str]:
        """Names of all diagnostics that any run has, as its file has them."""
        return {
            name
            for run in self.records
            for name, values in run["curve"].items()
            if name not in MEASURED and any(value is not None for value in values)
        }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("columns")
    information = folder / "telling-1.0.dist-info"
    information.mkdir()
    (folder / "telling.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: telling\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[haepo_bench.algorithms]\ntelling = telling:Telling\n")
    names = [*(name for name in catalogue.ALGORITHMS if name not in ELSEWHERE), "telling"]
    small = {
        name: f"{{use: {name}, params: {{n_envs: 2, n_steps: 16, batch_size: 16}}}}"
        for name in ("ppo-batched", "dfpo-reconstructed")
    }
    (folder / "suite.yaml").write_text(
        "name: columns\nseeds: 1\nbudget: {env_steps: 240}\nevaluation: {every: 120, episodes: 2}\n"
        f"algorithms: [{', '.join(small.get(name, name) for name in names)}]\ntasks: [random-walk/5]\n"
    )
    results = folder / "results"
    code, _, err = run_apart(
        "run", "suite.yaml", "--results", str(results), "--workers", "1",
        cwd=folder, environment={"PYTHONPATH": f"{ROOT}:{folder}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert code == 0, err
    files = sorted((results / "columns").glob("*/seed-*.json"))
    assert len(files) == len(names)
    return Ran(results / "columns", [json.loads(file.read_text()) for file in files], folder / "report")


@pytest.mark.slow
def test_every_objective_reports_what_it_reported_before_in_every_format(ran: Ran) -> None:
    (suite,) = build_report(ran.root).suites
    (task,) = suite.tasks
    described = {column.name: column for column in task.diagnostic_columns}
    shown = {f"{name}_recorded" if name in ("score", "status") else name for name in ran.columns()}
    assert set(described) == shown
    ours = {"clip_fraction", "pair_accuracy", "clip_low", "clip_high", "positive_share", "value_loss", "flow_loss"}
    assert ours | {"mixing_weight", "guided_loss", "return_quantile", "optimal_value", *TOLD} <= shown
    headings = {name: f"{c.title} ({c.unit})" if c.unit else c.title for name, c in described.items()}
    assert headings["said"] == "What was <said> & done (ells)"
    assert headings["unheard_of"] == "unheard_of"
    assert headings["clip_low"] == "Lower clip bound (ratio)"

    document = build_report(ran.root)
    data = json.loads(render(document, "json"))["suites"][0]["tasks"][0]["algorithms"]
    header, *rows = csv.reader(io.StringIO(more_csv(document)["wide.csv"]))
    tidy = {row["measure"] for row in csv.DictReader(io.StringIO(render(document, "csv")))}
    lines = [line for line in render(document, "md").splitlines() if "Seeds done" in line]
    in_latex = render(document, "latex")  # whose tables are cut into blocks
    write_report(document, "html", ran.out, FigureRequest(formats=("svg", "png")))
    page = (ran.out / "report.html").read_text(encoding="utf-8")
    heads = [
        html.unescape(re.sub("<[^>]*>", "", head)).strip() for head in re.findall(r"<th[^>]*>(.*?)</th>", page, re.S)
    ]
    (drawing,) = ran.out.glob("figures/*/*-diagnostics.svg")
    drawn = " ".join(
        html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing.read_text("utf-8"))
    )
    assert (drawing.with_suffix(".png")).stat().st_size > 10_000
    for name, heading in headings.items():
        assert any(name in result["diagnostics"] for result in data)
        assert f"{name}_mean" in [column.lstrip("'") for column in header]
        assert name in [measure.lstrip("'") for measure in tidy]
        assert all(f" {markdown(heading)} |" in line for line in lines)
        assert latex(heading) in in_latex
        assert heading in heads
        assert heading in drawn
    assert len(rows) == len(ran.records)
    assert lines


def test_the_numbers_of_a_plugin_are_those_that_it_reported(ran: Ran) -> None:
    (own,) = [run for run in ran.records if run["algorithm"] == "telling"]
    assert own["curve"]["loss"] != own["curve"]["loss_recorded"]
    document = build_report(ran.root)
    (result,) = [r for r in document.suites[0].tasks[0].algorithms if r.algorithm == "telling"]
    for name, value in TOLD.items():
        assert result.diagnostics[name].mean == value
        assert result.diagnostics[name].n == 1
    rows = list(csv.DictReader(io.StringIO(more_csv(document)["wide.csv"])))
    (row,) = [row for row in rows if row["algorithm"] == "telling"]
    assert float(row["unheard_of_mean"]) == 2
    assert float(row["'=1+1_mean"]) == 6
    # What only others recorded is empty there, and their rows know nothing of it.
    assert row["clip_low_mean"] == ""
    assert {other["unheard_of_mean"] for other in rows if other is not row} == {""}


def test_what_nothing_describes_is_said_below_the_table(ran: Ran) -> None:
    text = render(build_report(ran.root), "md")
    assert "- unheard\\_of: recorded by the algorithm or the task, which do not describe it" in text
    assert "- What was &lt;said&gt; &amp; done (ells): declared beside the objective" in text
    assert "Never" not in text


def test_declarations_are_stored_with_the_run_and_only_of_what_it_has(ran: Ran) -> None:
    stored = {run["algorithm"]: run["provenance"].get("columns") for run in ran.records}
    said = {"title": "What was <said> & done", "unit": "ells", "meaning": "declared beside the objective"}
    assert stored["telling"] == {
        "said": said,
        "ticks": {"title": "Ticks", "meaning": "differs from run to run", "clock": True},
    }
    assert set(stored["bapo"]) == {"clip_low", "clip_high", "positive_share"}
    # Nothing is added to the runs of objectives that declare nothing.
    assert stored["reinforce"] is None


def test_exports_have_every_column(ran: Ran) -> None:
    code, _, err = run_apart("export", str(ran.root), "--out", str(ran.out / "tables"))
    assert code == 0, err
    tables = {}
    for name in ("runs", "curves"):
        with (ran.out / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            tables[name] = list(csv.DictReader(file))
    (own,) = [row for row in tables["runs"] if row["algorithm"] == "telling"]
    last = [row for row in tables["curves"] if row["algorithm"] == "telling"][-1]
    for name, value in TOLD.items():
        # `notes` is a column of the run table itself.
        assert float(own["notes_recorded" if name == "notes" else f"'{name}" if name[0] == "=" else name]) == value
        assert float(last["notes_recorded" if name == "notes" else f"'{name}" if name[0] == "=" else name]) == value
    code, _, err = run_apart("import", str(ran.out / "tables" / "runs.csv"), "--results", str(ran.out / "again"))
    assert code == 0, err
    (again,) = (ran.out / "again").glob("*/*telling*/seed-*.json")
    curve = json.loads(again.read_text())["curve"]
    assert curve["=1+1"][-1] == 6
    assert curve["unheard_of"][-1] == 2


def test_a_declared_clock_makes_no_difference_between_runs(tmp_path: Path) -> None:
    def made(value: float, *, clock: bool) -> Path:
        root = tmp_path / f"{value}-{clock}"
        base = record()
        provenance = {**base.provenance, "columns": {"ticks": {"title": "Ticks", "clock": clock}}}
        ticks = [None, *[value] * 4]
        put(Store(root), base.model_copy(update={"curve": {**base.curve, "ticks": ticks}, "provenance": provenance}))
        return root

    def identical(a: Path, b: Path) -> int:
        return compare_results(a, b).suites[0].cells[0].identical_runs

    assert identical(made(1.0, clock=True), made(2.0, clock=True)) == 1
    assert identical(made(1.0, clock=False), made(2.0, clock=False)) == 0


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "text",
        {"a": None},
        {"a": []},
        {"a": {"title": 3, "unit": [], "clock": "yes"}},
        {"loss": {"title": "no"}},
    ],
    ids=str,
)
def test_strange_declarations_are_passed_over(said: object, tmp_path: Path) -> None:
    base = record()
    curve = {**base.curve, "a": [None, 1.0, 2.0, 3.0, 4.5], "loss": [None, 1.0, 1.0, 1.0, 1.0]}
    run = base.model_copy(update={"curve": curve, "provenance": {**base.provenance, "columns": said}})
    put(Store(tmp_path), run)
    (task,) = build_report(tmp_path).suites[0].tasks
    assert [(column.name, column.title, column.unit) for column in task.diagnostic_columns] == [
        ("loss", "Loss", ""),
        ("a", "a", ""),
    ]
    assert task.algorithms[0].diagnostics["a"].mean == 4.5
    assert clocks(run.provenance) == CLOCK_COLUMNS


def test_declared_text_is_bounded_and_on_one_line(tmp_path: Path) -> None:
    base = record()
    provenance = {**base.provenance, "columns": {"a": {"title": "x\x1b[31m\ny" * 1000, "meaning": "m" * 10_000}}}
    put(Store(tmp_path), base.model_copy(update={"curve": {**base.curve, "a": [1.0] * 5}, "provenance": provenance}))
    (column,) = build_report(tmp_path).suites[0].tasks[0].diagnostic_columns
    assert len(column.title) <= 400
    assert not set("\x1b\n") & set(column.title)
    assert len(column.meaning) == 400


def test_what_only_the_last_evaluation_measures_is_shown_whoever_measures_it(tmp_path: Path) -> None:
    base = record()
    put(Store(tmp_path), base.model_copy(update={"final": {**base.final, "score": 1.0, "mine_at_end": 0.25}}))
    (task,) = build_report(tmp_path).suites[0].tasks
    assert [column.name for column in task.diagnostic_columns] == ["mine_at_end"]
    assert task.algorithms[0].diagnostics["mine_at_end"].mean == 0.25


def test_seeds_are_averaged_and_a_column_of_some_runs_rests_on_those(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed, value in ((0, 1.0), (1, 4.0), (2, None)):
        base = record(seed=seed)
        more = {} if value is None else {"mine": [None, 9.0, 9.0, value, None]}
        put(store, base.model_copy(update={"curve": {**base.curve, **more}}))
    mine = build_report(tmp_path).suites[0].tasks[0].algorithms[0].diagnostics["mine"]
    assert (mine.mean, mine.n) == (2.5, 2)


def test_the_registry_is_in_order() -> None:
    assert len({column.heading for column in COLUMNS.values()}) == len(COLUMNS)
    for column in COLUMNS.values():
        assert column.title, column.name
        assert column.meaning, column.name
    assert {"wall_seconds", "cpu_seconds", "tokens_per_second", "seconds_per_step"} == CLOCK_COLUMNS
    assert {
        "env_steps", "gradient_steps", "episodes", "wall_seconds", "cpu_seconds",
        "eval_return", "eval_return_greedy", "eval_return_std",
    } == MEASURED  # fmt: skip
    assert declared({}) == {}
    assert np.isfinite([column.decimals or 0 for column in COLUMNS.values()]).all()
