"""`SUITE.tuned.yaml`: what is refused, and where; what it does to a suite's runs is in tests/cli/test_tune_cli.py."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from haepo_bench.errors import UserError
from haepo_bench.execution.session import forecast
from haepo_bench.objectives.spaces import Space
from haepo_bench.results.searches import Trial
from haepo_bench.results.store import Store
from haepo_bench.search.tuned_file import check_target, render
from haepo_bench.suite.draws import draw
from haepo_bench.suite.planned import plan_file
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.tuned import FoundSettings, TunedAlgorithm, TunedFile, TunedSearch, read_tuned
from haepo_bench.suite.tuned_notes import task_hashes

SUITE = """\
name: trial
seeds: 2
budget: {env_steps: 64}
tasks: [random-walk/4]
algorithms: [{use: rloo, name: mine}, grpo]
"""
SPACES = {"learning_rate": {"log": [1e-4, 1e-2]}}
RATE = draw("trial", Trial("mine", 1, 0), {"learning_rate": Space.of(SPACES["learning_rate"])})["learning_rate"]
TUNED = TunedFile(
    format=1,
    suite="trial",
    declaration="d" * 64,
    search=TunedSearch(trials=2, seeds=1, final=1, replicates=[0, 1], measure="area"),
    algorithms={
        "mine": TunedAlgorithm(
            settings={"learning_rate": RATE},
            score=0.5,
            replicate=1,
            trial=0,
            spaces=SPACES,
            draws=4,
            failed=0,
        )
    },
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suite: trial\n", "x.yaml: is not a file of tuned settings"),
        ("format: 1\n", "x.yaml: suite: is missing"),
        (
            render(TUNED).replace(f"settings: {{learning_rate: {RATE}}}", "settings: {}"),
            "mine.settings: lacks learning_",
        ),
        ("format: 3\n", "was written by a newer version of haepo-bench (format 3)"),
        ("- a\n", "is not a file of tuned settings"),
        ("format: 1\nsuite: [\n", "x.yaml:"),
        ("", "x.yaml"),
        (render(TUNED).replace(str(RATE), "!!python/none 1"), "x.yaml:"),
        (render(TUNED).replace('suite: "trial"', "suite: other"), ": suite: holds the settings found for the"),
        (render(TUNED).replace("failed: 0", "failed: many"), "algorithms.mine.failed"),
        (
            render(TUNED).replace("settings: {learning_rate", "settings: {lerning_rate"),
            "algorithms.mine.settings.lerning_rate: mine was not searched for 'lerning_rate'",
        ),
        (render(TUNED).replace(str(RATE), "0.5"), "mine.settings.learning_rate: 0.5 is not in the space of"),
        (render(TUNED).replace(str(RATE), f'"{RATE}"'), "is not in the space of learning_rate"),
        (
            render(TUNED).replace('{"log"', "{").replace("{log:", "{lag:"),
            "mine.spaces.learning_rate: a space is one",
        ),
        (
            render(TUNED).replace("[0.0001, 0.01]", "5"),
            "mine.spaces.learning_rate: a range is [least, greatest], two numbers, not 5",
        ),
        (
            render(TUNED).replace("[0.0001, 0.01]", "[0.0001]"),
            "mine.spaces.learning_rate: a range is [least, greatest], two",
        ),
        (
            render(TUNED).replace("[0.0001, 0.01]", "[low, high]"),
            "mine.spaces.learning_rate: a range is [least, greatest], two",
        ),
        (render(TUNED).replace(str(RATE), "null"), "null is not in the space of learning_rate"),
        (render(TUNED).replace("replicate: 1", "replicate: 77"), "algorithms.mine.replicate: 77 is none of the search"),
        (render(TUNED).replace("trial: 0", "trial: 2"), "algorithms.mine.trial: 2 is none of the search"),
        (render(TUNED).replace('"area"', "foo"), "search.measure: must be 'area'"),
        (render(TUNED).replace("tasks: {}", "tasks: {bandit/10-arm: -1}"), "bandit/10-arm: must be at least 1, got -1"),
        (render(TUNED).replace('"' + "d" * 64 + '"', '""'), "declaration: must not be empty"),
    ],
)
def test_a_file_that_is_not_one_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_tuned(tmp_path / "x.yaml", "trial")
    assert said in str(error.value)


def test_settings_take_the_place_of_those_of_the_suite(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    found = tmp_path / "trial.tuned.yaml"
    found.write_text(render(TUNED))
    plan, before = load_plan(tmp_path / "suite.yaml", tuned=str(found)), load_plan(tmp_path / "suite.yaml")
    rates = {cell.algorithm: cell.parameters["learning_rate"] for cell in plan.cells}
    assert rates == {"mine": RATE, "grpo": before.cells[1].parameters["learning_rate"]}
    assert (plan.suite, plan.tuned) == ("trial-tuned", "d" * 64)
    assert plan.cells[1].settings_hash == before.cells[1].settings_hash


def test_another_budget_than_that_of_the_search_is_said(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    found = tmp_path / "trial.tuned.yaml"
    said: list[str] = []
    for then in (64, 1064):
        search = TUNED.search.model_copy(update={"tasks": {"random-walk/4": then}})
        found.write_text(render(TUNED.model_copy(update={"search": search})))
        load_plan(tmp_path / "suite.yaml", tuned=str(found), say=said.append)
    (line,) = said
    assert line.startswith("note: random-walk/4 was searched with 1,064 env steps, and is run with 64")


def test_what_is_not_as_it_was_searched_is_said(tmp_path: Path) -> None:
    found, said = tmp_path / "trial.tuned.yaml", list[str]()
    search = TUNED.search.model_copy(update={"tasks": {"random-walk/4": 64, "one/that-is-gone": 5}})
    found.write_text(render(TUNED.model_copy(update={"search": search})))
    for space in ("[1e-4, 1e-2]", "[1e-5, 1e-2]"):
        spaces = f"spaces: {{mine: {{learning_rate: {{log: {space}}}}}, grpo: {{}}}}"
        (tmp_path / "suite.yaml").write_text(f"{SUITE}search: {{trials: 2, {spaces}}}\n")
        load_plan(tmp_path / "suite.yaml", tuned=str(found), say=said.append)
    gone = "note: the settings found are for one/that-is-gone, too, which the suite does not have"
    assert said == [gone, gone, "note: mine was searched in other spaces than the suite has now"]


def of(**changes: Any) -> TunedFile:
    """`TUNED`, searched on the task of `SUITE`, with other entries for its algorithm."""
    search = TUNED.search.model_copy(update={"tasks": {"random-walk/4": 64}})
    params: dict[str, Any] = {"random-walk/4": {}}
    mine = TUNED.algorithms["mine"].model_copy(update={"uses": "rloo", "params": params, **changes})
    return TUNED.model_copy(update={"format": 2, "search": search, "algorithms": {"mine": mine}})


@pytest.mark.parametrize(
    ("then", "params", "said"),
    [
        ({}, "", []),
        ({"epochs": 2}, ", params: {epochs: 2}", []),
        ({"epochs": 2}, ", params: {epochs: 3}", ["with epochs 2, and is run with 3"]),
        ({}, ", params: {epochs: 3}", ["with the default of epochs, and is run with 3"]),
        ({"epochs": 2}, "", ["with epochs 2, and is run with its default"]),
        ({}, ", per_task: {random-walk/4: {params: {epochs: 3}}}", ["with the default of epochs, and is run with 3"]),
    ],
)
def test_other_params_than_those_of_the_search_are_said(
    tmp_path: Path, then: dict[str, Any], params: str, said: list[str]
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("name: mine", f"name: mine{params}"))
    (tmp_path / "trial.tuned.yaml").write_text(render(of(params={"random-walk/4": then})))
    lines: list[str] = []
    load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"), say=lines.append)
    assert lines == [f"note: mine was searched {line}" for line in said]


def test_another_measure_and_a_new_task_are_said(tmp_path: Path) -> None:
    suite = SUITE.replace("[random-walk/4]", "[random-walk/4, bandit/10-arm]")
    search = "search: {trials: 2, measure: final_score, spaces: {mine: {learning_rate: {log: [1e-4, 1e-2]}}, grpo: {}}}"
    (tmp_path / "suite.yaml").write_text(f"{suite}{search}\n")
    (tmp_path / "trial.tuned.yaml").write_text(render(of()))
    lines: list[str] = []
    load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"), say=lines.append)
    assert lines == [
        "note: bandit/10-arm was not searched: it is run with the settings found for other tasks",
        "note: searched for was area, and the suite now says final_score",
    ]


def test_a_task_that_is_another_under_its_name_is_said_and_one_that_was_not_searched(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("[random-walk/4]", "[{id: random-walk/4, name: walk}]"))
    cells = load_plan(tmp_path / "suite.yaml").cells
    found, said = tmp_path / "trial.tuned.yaml", list[str]()
    search = TUNED.search.model_copy(update={"tasks": {"walk": 64}, "task_hashes": task_hashes(cells)})
    for params in ({"walk": {}}, {}):
        found.write_text(render(of(params=params).model_copy(update={"search": search})))
        load_plan(tmp_path / "suite.yaml", tuned=str(found), say=said.append)
    assert said == ["note: mine was not searched on walk: it is run with the settings found for other tasks"]
    found.write_text(render(of(params={"walk": {}}).model_copy(update={"search": search})))
    (tmp_path / "suite.yaml").write_text(SUITE.replace("[random-walk/4]", "[{id: random-walk/5, name: walk}]"))
    load_plan(tmp_path / "suite.yaml", tuned=str(found), say=said.append)
    assert said[1:] == ["note: walk is another task than the one that was searched, or is made otherwise"]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("seeds: 2", "seeds: [3000000000]", "2: seeds"),
        ("name: mine", "name: mine, seeds: [0, 3000000000]", "5: algorithms[0].seeds"),
    ],
)
def test_seeds_of_the_search_are_refused(tmp_path: Path, old: str, new: str, where: str) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace(old, new))
    (tmp_path / "trial.tuned.yaml").write_text(render(TUNED))
    load_plan(tmp_path / "suite.yaml")
    with pytest.raises(UserError) as error:
        load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"))
    assert f"suite.yaml:{where}: the seed 3000000000 is one that the search may have tuned on" in str(error.value)


@pytest.mark.parametrize("use", ["reinforce", "ppo-batched"])
def test_settings_of_another_algorithm_of_that_name_are_refused(tmp_path: Path, use: str) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("use: rloo", f"use: {use}") + "claims: {baselines: [mine]}\n")
    (tmp_path / "trial.tuned.yaml").write_text(render(of()))
    with pytest.raises(UserError) as error:
        load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"))
    assert f"algorithms.mine.uses: mine of the suite is {use}, and rloo was searched" in str(error.value)
    assert "claims" not in str(error.value)


@pytest.mark.parametrize(
    "setting", ["params: {learning_rate: 2e-3}", "per_task: {random-walk/4: {params: {learning_rate: 2e-3}}}"]
)
def test_what_the_suite_sets_itself_is_not_replaced(tmp_path: Path, setting: str) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("name: mine", f"name: mine, {setting}"))
    (tmp_path / "trial.tuned.yaml").write_text(render(TUNED))
    with pytest.raises(UserError) as error:
        load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"))
    assert "algorithms.mine.settings.learning_rate: mine has learning_rate under params in the suite" in str(
        error.value
    )


def test_an_algorithm_with_the_name_of_a_row_of_the_search_is_refused(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("grpo]", "{use: grpo, name: mine.per-task}]"))
    (tmp_path / "trial.tuned.yaml").write_text(render(TUNED))
    with pytest.raises(UserError, match=r"'mine\.per-task' of the suite is what a row of mine is called"):
        load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"), per_task=True)


def test_runs_of_a_suite_with_the_name_of_anothers_tuned_runs_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "other.yaml").write_text(SUITE.replace("name: trial", "name: trial-tuned"))
    (tmp_path / "trial.tuned.yaml").write_text(render(TUNED))
    tuned = load_plan(tmp_path / "suite.yaml", tuned=str(tmp_path / "trial.tuned.yaml"))
    plain = load_plan(tmp_path / "other.yaml")
    assert tuned.suite == plain.suite
    for number, (first, second) in enumerate(((tuned, plain), (plain, tuned))):
        store = Store(tmp_path / str(number))
        store.root.mkdir()
        store.write_plan(plan_file(first, written="2026"))
        assert forecast(first, store, retry_failed=False).jobs
        with pytest.raises(UserError, match="whose place those of"):
            forecast(second, store, retry_failed=False)


SETTINGS = render(TUNED)


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (None, ""),
        (SETTINGS, ""),
        (SETTINGS.replace("\n", "\r\n"), ""),
        (SETTINGS.replace(str(RATE), "edited"), ""),
        (SETTINGS.replace("format: 1", "format: 3"), "was written by a newer version of haepo-bench (format 3)"),
        ("format: 1\nsuite: trial\n", "is not a file of settings found for the suite 'trial'"),
        (SETTINGS.replace('"trial"', '"other"'), "is not a file of settings found for the suite 'trial'"),
        (SUITE, "is not a file of settings found for the suite 'trial'"),
        ("notes of mine\n", "is not a file of settings found for the suite 'trial'"),
        ("", "is not a file of settings found for the suite 'trial'"),
        ("[" * 5000, "is not a file of settings found for the suite 'trial'"),
    ],
)
def test_only_settings_of_the_same_suite_are_written_over(tmp_path: Path, content: str | None, refused: str) -> None:
    path = tmp_path / "new" / "x.yaml"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content.encode())
    with contextlib.ExitStack() as stack:
        if refused:
            stack.enter_context(pytest.raises(UserError, match=re.escape(refused)))
        check_target(path, "trial")
    assert (path.read_bytes().decode() if path.exists() else None) == content
    assert path.exists() == path.parent.exists() == (content is not None)


def test_a_place_where_no_file_can_be_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(SETTINGS)
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "file" / "x", "Not a"), (tmp_path / "pipe", "pipe")):
        with pytest.raises(UserError, match=said) as error:
            check_target(path, "trial")
        assert "--out" in str(error.value.remedy)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  mine:", "  mnie:", "trial.tuned.yaml:18: algorithms.mnie: the suite has no algorithm 'mnie'"),
        (
            "per_task: {}",
            f'per_task: {{"corridor/9": {{settings: {{learning_rate: {RATE}}}, score: 0, replicate: 1, trial: 0}}}}',
            "'corridor/9'",
        ),
        (
            "learning_rate: {log: [0.0001, 0.01]}",
            "learning_rate: {log: [0.3, 10], whole: true}",
            "mine.spaces.learning_rate: a range of whole numbers begins and ends with one, not [0.3, 10]",
        ),
        ("final: 1", "final: true", "search.final: must be a whole number"),
        (str(RATE), "0.00123", f"settings.learning_rate: 0.00123 was not drawn: trial 0 of replicate 1 has {RATE}"),
        ("space_too_small", "space_too_small", "algorithms: has no settings of grpo, which the suite searches"),
    ],
)
def test_a_file_that_does_not_fit_the_suite_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE + "search: {trials: 2}\n")
    found = tmp_path / "trial.tuned.yaml"
    text = render(TUNED)
    assert old in text
    found.write_text(text.replace(old, new))
    with pytest.raises(UserError) as error:
        load_plan(tmp_path / "suite.yaml", tuned=str(found))
    assert said in str(error.value)
    assert "suite.yaml:" not in str(error.value)


def test_settings_of_a_task_that_the_suite_has_no_more_stand_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    own = FoundSettings(settings={"learning_rate": RATE}, score=0.0, replicate=1, trial=0)
    found = TUNED.algorithms["mine"].model_copy(update={"per_task": {"corridor/9": own}})
    search = TUNED.search.model_copy(update={"tasks": {"random-walk/4": 64, "corridor/9": 64}})
    file = tmp_path / "trial.tuned.yaml"
    file.write_text(render(TUNED.model_copy(update={"search": search, "algorithms": {"mine": found}})))
    said: list[str] = []
    load_plan(tmp_path / "suite.yaml", tuned=str(file), per_task=True, say=said.append)
    assert said == ["note: the settings found are for corridor/9, too, which the suite does not have"]


def test_every_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = ["caf\x85", "a\x7fb", "\x9f", "\u2028", "\U0001f600", 'a"b\\n\n', "", "\ufeff", "long " * 40]
    spaces = {"mode": {"choices": texts}}
    for text in texts:
        found = TUNED.algorithms["mine"].model_copy(update={"spaces": spaces, "settings": {"mode": text}})
        (tmp_path / "x.yaml").write_text(render(TUNED.model_copy(update={"algorithms": {"True": found}})), "utf-8")
        read = read_tuned(tmp_path / "x.yaml", "trial").file.algorithms["True"]
        assert (read.settings, read.spaces) == ({"mode": text}, spaces)
