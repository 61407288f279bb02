"""What is suggested for names that are nearly right, and what is listed for others."""

from pathlib import Path

import pytest
from cli_support import run_here

from haepo_bench.errors import did_you_mean

PARAMETERS = ("learning_rate", "batch_size", "n_envs", "ent_coef", "clip_range", "gae_lambda", "n_epochs", "gamma")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("LearningRate", "learning_rate"),
        ("learning_rat", "learning_rate"),
        ("bs", "batch_size"),
        ("num_envs", "n_envs"),
        ("entropy_coef", "ent_coef"),
        ("clip", "clip_range"),
        ("lambda", "gae_lambda"),
        ("epochs", "n_epochs"),
        ("Gamma", "gamma"),
    ],
)
def test_abbreviations_and_other_spellings(typed: str, meant: str) -> None:
    assert did_you_mean(typed, PARAMETERS).startswith(f"did you mean '{meant}'")


@pytest.mark.parametrize("typed", ["", "-", "_", "x", "q" * 100_000, "\x1b[31m"])
def test_nothing_is_suggested_for_what_is_like_nothing(typed: str) -> None:
    assert did_you_mean(typed, PARAMETERS, kind="parameter").startswith("known parameters: batch_size, clip_range")


def test_a_name_in_another_case_is_the_only_suggestion() -> None:
    assert did_you_mean("GRPO", ["grpo", "dr-grpo", "gspo"]) == "did you mean 'grpo'?"


def test_long_lists_say_how_many_more_there_are_and_what_shows_them() -> None:
    names = [f"name-{n:02d}" for n in range(40)]
    listed = did_you_mean("zzz", names, more="`haepo-bench list`")
    assert listed.startswith("known names: name-00, name-01, ")
    assert listed.endswith("name-19 and 20 more (`haepo-bench list` shows all)")
    assert "more" not in did_you_mean("zzz", names[:20], more="`haepo-bench list`")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("CartPole-v1", "did you mean 'gym/CartPole-v1'"),
        ("cartpole", "did you mean 'gym/CartPole-v1'"),
        ("gymnasium/cartpole-v1", "did you mean 'gym/CartPole-v1'"),
        ("gym/cartpole-v1", "did you mean 'gym/CartPole-v1'?"),
        ("arithmetic", "did you mean 'lm/arithmetic'?"),
        ("contextual", "did you mean 'bandit/contextual'?"),
        ("GRPO", "did you mean 'grpo'?"),
        ("Noise", "did you mean 'noise'?"),
        ("qqqq", "(`haepo-bench list` shows all)"),
        ("gym/qqqq", "gymnasium.pprint_registry()"),
    ],
)
def test_describe_suggests(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_here(capsys, "describe", typed)
    assert (code, out) == (4, "")
    assert said in err


def test_every_wrong_hyper_parameter_is_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        "name: mine\nseeds: 1\nbudget: {env_steps: 100}\ntasks: [bandit/10-arm, corridor/8]\nalgorithms:\n"
        "  - use: grpo\n    params:\n      lr: 1\n      learning_rat: 2\n      epochs: many\n      trajectories: 0\n"
        "  - use: ppo\n    params:\n      lr: 1\n      n_steps: -1\n"
        "  - use: ppo-batched\n    params:\n      entropy: 1\n      gamma: 3\n"
    )
    code, _, err = run_here(capsys, "validate", str(suite))
    assert code == 4
    assert "8 problems" in err
    for line, name in (
        (8, "algorithms[0].params.lr: grpo has no parameter 'lr'"),
        (9, "algorithms[0].params.learning_rat"),
        (10, "algorithms[0].params.epochs"),
        (11, "algorithms[0].params.trajectories"),
        (14, "algorithms[1].params.lr"),
        (15, "algorithms[1].params.n_steps"),
        (18, "algorithms[2].params.entropy"),
        (19, "algorithms[2].params.gamma"),
    ):
        assert err.count(f"mine.yaml:{line}: {name}") == 1, err
