"""The section `search` of a suite: what it may say, and what is made of it."""

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from haepo_bench.errors import UserError
from haepo_bench.results.searches import MEASURES, Trial
from haepo_bench.suite.draws import draw
from haepo_bench.suite.plan import Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.search_keys import SpaceKeys
from haepo_bench.verdicts.claims import CLAIMS

SUITE = """\
name: suite
seeds: 5
budget: {env_steps: 100}
tasks: [random-walk/4]
algorithms:
  - {use: rloo, name: mine}
  - {use: grpo, params: {epochs: 2}}
  - uniform
search:
"""


def loaded(folder: Path, search: str, *, suite: str = SUITE, tune: bool = True) -> Plan:
    path = folder / "suite.yaml"
    path.write_text(suite + "".join(f"  {line}\n" for line in search.splitlines()))
    return load_plan(path, tune=tune)


def refused(folder: Path, search: str, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        loaded(folder, search, **options)
    return str(error.value)


def test_what_is_left_out_is_the_issue_of_the_defaults(tmp_path: Path) -> None:
    search = loaded(tmp_path, "{}").search
    assert search is not None
    assert (search.trials, search.seeds, search.final, len(search.replicates)) == (8, 2, 1, 30)
    assert search.measure == "area"
    # What the entry sets is not searched, and a control has nothing to search.
    assert set(search.spaces["mine"]) == {"learning_rate", "trajectories", "epochs", "entropy_coefficient", "beta"}
    assert set(search.spaces["grpo"]) == set(search.spaces["mine"]) - {"epochs"}
    assert search.spaces["uniform"] == {}
    # One gradient step is the least that there is: nothing can be missed below.
    assert search.spaces["mine"]["epochs"]["open"] == ["high"]


def test_the_measures_are_those_of_claims() -> None:
    assert set(MEASURES) == {claim.measure for claim in CLAIMS}


def test_a_suite_may_say_where_an_algorithm_is_searched(tmp_path: Path) -> None:
    spaces = "spaces: {rloo: {beta: {zero_or_log: [1e-3, 1]}, learning_rate: {log: [1e-4, 1e-2]}, clip_low: {uniform: [0.1, 0.3]}}, grpo: {learning_rate: {log: [1e-4, 1e-2]}}}"  # noqa: E501
    plan = loaded(tmp_path, f"trials: 3\nreplicates: [4]\n{spaces}")
    assert plan.search is not None
    assert set(plan.search.spaces["mine"]) == {"beta", "learning_rate", "clip_low"}
    trials = [cell for cell in plan.cells if cell.algorithm.startswith("mine.4.")]
    assert len(trials) == 3
    for cell in trials:
        assert set(cell.overrides) == {"beta", "learning_rate", "clip_low"}
        assert 0.1 <= cell.parameters["clip_low"] <= 0.3


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("trails: 3", ["suite.yaml:10: search.trails: unknown key", "did you mean 'trials'?"]),
        ("trials: 0", ["suite.yaml:10: search.trials: must be at least 1, got 0"]),
        ("seeds: 101", ["search.seeds: must be at most 100"]),
        ("final: 2", ["search.final: must be at most 1, got 2"]),
        ("final: true", ["search.final: must be "]),
        ("replicates: 0", ["search.replicates: must be between 1 and 10,000 replicates, got 0"]),
        ("replicates: [1, 1]", ["the replicate 1 is named more than once"]),
        ("replicates: [1000000]", ["search.replicates[0]: must be at most 999999, got 1000000"]),
        ("measure: aera", ["search.measure: must be 'area'"]),
        (
            "trials: 3\nspaces: {gpro: {beta: {log: [1e-3, 1]}}}",
            ["suite.yaml:11: search.spaces.gpro: the suite"],
        ),
        ("spaces: {grpo: {bta: {log: [1e-3, 1]}}}", ["search.spaces.grpo.bta: grpo has no parameter 'bta'", "'beta'"]),
        ("spaces: {grpo: {beta: {log: [1, 1e-3]}}}", ["the least value must be below the greatest"]),
        ("spaces: {grpo: {beta: {log: [0, 1]}}}", ["a logarithm needs a least value above 0"]),
        ("spaces: {grpo: {beta: {}}}", ["a space is one of log, uniform, zero_or_log and choices"]),
        ("spaces: {grpo: {beta: {log: [1e-3, 1], choices: [1, 2]}}}", ["a space is one of log"]),
        ("spaces: {grpo: {beta: {choices: [1]}}}", ["choices are a list of at least two different values"]),
        ("spaces: {grpo: {beta: {choices: [1, 1.0]}}}", ["choices are a list of at least two different values"]),
        ("spaces: {grpo: {trajectories: {uniform: [1.2, 8]}}}", ["trajectories is a whole number"]),
        ("spaces: {grpo: {clip_low: {uniform: [0.1, 1.5]}}}", ["search.spaces.grpo.clip_low", "less than 1"]),
        (
            "spaces: {grpo: {beta: {choices: [0.1, null]}}}",
            ["choices[1]: choices are finite", "got null"],
        ),
        ("spaces: {grpo: {beta: {choices: [0.1, .nan]}}}", ["grpo.beta.choices[1]: .nan is not a finite number"]),
        (
            "trials: 3\nspaces: {grpo: {beta: {choices: [0.1, '0.2']}}}",
            ["suite.yaml:11: search.spaces.grpo.beta", "beta is a number, and a choice is the text '0.2'"],
        ),
        ("spaces: {grpo: {beta: {zero_or_log: [1e-300, 1e300]}}}", ["the range is wider than numbers are"]),
        ("spaces: {grpo: {beta: {uniform: [0.1, 0.1001]}}}", ["holds hardly any numbers of 4 digits"]),
        (
            "spaces: {grpo: {scale_advantages: {uniform: [0, 1]}}}",
            ["suite.yaml:10: search.spaces.grpo.scale_advantages: scale_advantages is bool, and has no"],
        ),
        ("spaces: {grpo: {reference: {log: [1, 20]}}}", ["search.spaces.grpo.reference: reference is ", "no range"]),
        (
            "spaces: {mine: {beta: {zero_or_log: [1e-3, 1]}, learning_rate: {log: [1e-3, 1]}}}",
            ["another space of"],
        ),
        ("spaces: {grpo: {epochs: {choices: [1, 2]}}}", ["grpo has epochs under params, so it is not searched"]),
        (
            "spaces: {grpo: {beta: {log: [1, 2]}, clip_low: {log: [.1, .2]}, clip_high: {log: [.1, .2]}, "
            "trajectories: {choices: [2, 4]}, learning_rate: {log: [1e-3, 1]}, dual_clip: {log: [2, 3]}}}",
            ["at most 5 hyper-parameters of an algorithm are searched, got 6"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, search: str, said: list[str]) -> None:
    message = refused(tmp_path, search, tune=False)
    for each in said:
        assert each in message


def test_values_are_looked_at_together_since_they_are_drawn_together(tmp_path: Path) -> None:
    suite = SUITE.replace("- uniform", "- bapo")
    spaces = "spaces: {{bapo: {{low: {{choices: {}}}, low_max: {{choices: {}}}}}}}"
    message = refused(tmp_path, spaces.format([0.3, 0.75], [0.65, 0.8]), suite=suite, tune=False)
    assert "suite.yaml:10: search.spaces.bapo.low: the search begins at low 0.75" in message
    assert "(with low_max 0.65)" in message
    # Above the default of low_max, which is never drawn.
    plan = loaded(tmp_path, f"replicates: 2\n{spaces.format([0.85, 0.9], [0.95, 1.0])}", suite=suite)
    assert plan.search is not None
    assert set(plan.search.spaces["bapo"]) == {"low", "low_max"}


@pytest.mark.parametrize("name", ["mine.0.0", "mine.default", "mine.per-task", "mine.published"])
def test_names_of_rows_that_the_search_makes_are_taken(tmp_path: Path, name: str) -> None:
    suite = SUITE.replace("- uniform", f"- {{use: rwr, name: {name}}}")
    message = refused(tmp_path, "{}", suite=suite, tune=False)
    assert (
        f"suite.yaml:8: algorithms[2].name: '{name}' is what a row is called that the search of mine makes" in message
    )


def test_seeds_of_searches_are_not_the_suites(tmp_path: Path) -> None:
    message = refused(tmp_path, "{}", suite=SUITE.replace("seeds: 5", "seeds: [0, 1000000003]"), tune=False)
    assert "suite.yaml:2: seeds: the seed 1000000003 is one that `search` may tune on" in message


def test_a_suite_without_search_cannot_be_tuned(tmp_path: Path) -> None:
    assert "does not say how it is searched" in refused(tmp_path, "", suite=SUITE.replace("search:\n", ""))


def test_published_settings_are_no_part_of_a_search(tmp_path: Path) -> None:
    suite = SUITE.replace("random-walk/4", "gym/CartPole-v1").replace("- uniform", "- ppo-batched")
    plan = loaded(tmp_path, "replicates: 1", suite=suite)
    cells = {cell.algorithm: cell for cell in plan.cells}
    # RL Baselines3 Zoo has 32 steps, 256 a minibatch and linear schedules for CartPole.
    assert cells["ppo-batched.published"].parameters["n_steps"] == 32
    for name in ("ppo-batched", "ppo-batched.0.0"):
        assert cells[name].parameters["batch_size"] == 64
        assert cells[name].parameters["learning_rate_schedule"] == "constant"
    assert cells["ppo-batched"].parameters["n_steps"] == 64
    assert cells["ppo-batched"].seeds == cells["ppo-batched.published"].seeds


def test_an_algorithm_that_is_not_searched_is_run_as_the_suite_has_it(tmp_path: Path) -> None:
    suite = SUITE.replace("random-walk/4", "gym/CartPole-v1").replace("- uniform", "- ppo-batched")
    search = "replicates: 1\nspaces: {ppo-batched: {}}"
    searched, plain = loaded(tmp_path, search, suite=suite), loaded(tmp_path, search, suite=suite, tune=False)
    (own,) = [cell for cell in searched.cells if cell.algorithm.startswith("ppo-batched")]
    (other,) = [cell for cell in plain.cells if cell.algorithm == "ppo-batched"]
    assert own.settings_hash == other.settings_hash
    assert own.parameters["n_steps"] == 32


def test_draws_depend_on_their_own_key_alone() -> None:
    learning_rate, beta = (SpaceKeys.model_validate(each).space for each in ({"log": [1e-4, 1]}, {"log": [1e-4, 1]}))
    both = {"learning_rate": learning_rate, "beta": beta}
    trials = [Trial("grpo", replicate, number) for replicate in range(40) for number in range(10)]
    found = {trial: draw("suite", trial, both) for trial in trials}
    for trial in trials[:20]:
        assert draw("suite", trial, {"beta": beta})["beta"] == found[trial]["beta"]
        assert draw("suite", trial, both) == found[trial]
    # Different keys give different, uncorrelated draws (fails one time in 1,000 where they are independent).
    rates = [found[trial]["learning_rate"] for trial in trials]
    others = [
        [draw("other", trial, both)["learning_rate"] for trial in trials],
        [draw("suite", trial._replace(algorithm="dpo"), both)["learning_rate"] for trial in trials],
        [found[trial]["beta"] for trial in trials],
        [*rates[1:], rates[0]],
    ]
    for other in others:
        assert stats.spearmanr(rates, other).pvalue > 1e-3
    assert len(set(rates)) > 390


def test_an_ordinary_run_does_not_depend_on_the_search(tmp_path: Path) -> None:
    without = loaded(tmp_path, "", suite=SUITE.replace("search:\n", ""), tune=False)
    plan = loaded(tmp_path, "trials: 3", tune=False)
    assert plan.search is None
    assert [cell.settings_hash for cell in plan.cells] == [cell.settings_hash for cell in without.cells]
    assert plan.declaration == without.declaration
    # With the default settings the search's own cells are the suite's.
    tuned = loaded(tmp_path, "trials: 3\nreplicates: 2")
    base = {cell.algorithm: cell.settings_hash for cell in tuned.cells if "." not in cell.algorithm}
    assert base == {cell.algorithm: cell.settings_hash for cell in without.cells}
