"""Language tasks: prompts, demonstrations and rewards against hand-made and independent calculations."""

import re
from collections import Counter

import numpy as np
import pytest
from scipy.optimize import minimize

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.policies.tiny import tiny_tokenizer
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.lm import bradley_terry
from haepo_bench.tasks.lm.arithmetic import answer_of
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.tasks.lm.synthetic_summary import SHARPNESS, SyntheticSummary, claims_of, f1_of_claims, features
from haepo_bench.training.language.texts import Texts

TASKS = ("lm/arithmetic", "lm/scratchpad", "lm/synthetic-summary", "lm/long-horizon/32", "lm/long-horizon/256")


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def summaries() -> SyntheticSummary:
    return catalogue.task("lm/synthetic-summary")


@pytest.mark.parametrize("address", TASKS)
def test_what_every_task_promises(address: str) -> None:
    task = catalogue.task(address)
    assert isinstance(task, LanguageTask)
    assert (task.id, task.model) == (address, "tiny")
    trained, held_out = ({example.prompt for example in part} for part in (task.train, task.held_out))
    assert len(trained) == len(task.train) >= 250
    assert len(held_out) == len(task.held_out) >= 100
    assert not trained & held_out
    assert {prompt for prompt, _ in task.demonstrations} == trained, "nothing held out is shown"
    assert {pair.prompt for pair in task.pairs} <= trained
    assert all(pair.chosen != pair.rejected for pair in task.pairs)
    responses = [response for _, response in task.demonstrations] + [t for pair in task.pairs for t in pair[1:]]
    # The stop token needs a place, except where responses fill the horizon.
    room = task.horizon if address.startswith("lm/long-horizon") else task.horizon - 1
    tokens = Texts(tiny_tokenizer(task.vocabulary))
    lengths = [len(ids) - 1 for ids in tokens.responses(responses)]
    assert 0 < min(lengths) <= max(lengths) <= room
    examples = [*task.train, *task.held_out]
    texts = [*responses, *(e.prompt for e in examples), *(e.reference for e in examples)]
    cut = tokens.responses(texts)
    assert tokens.decode(cut) == texts
    # Each token is used, and none but the stop is special: nothing was unknown.
    assert {token for ids in cut for token in ids} == {2, *range(3, 3 + len(task.vocabulary))}
    assert len(set(task.vocabulary)) == len(task.vocabulary)
    np.testing.assert_array_equal(task.gold(examples, [e.reference for e in examples]), task.references.solved)
    again = catalogue.task(address)
    assert (again.train, again.demonstrations, again.pairs) == (task.train, task.demonstrations, task.pairs)
    for name, values in task.metrics(examples, [e.reference for e in examples]).items():
        np.testing.assert_array_equal(values, 1.0, err_msg=name)
    if task.gold_is_reward:
        some = [response for _, response in task.demonstrations[: len(task.train)]]
        np.testing.assert_array_equal(task.rewards(task.train, some, stream()), task.gold(task.train, some))


@pytest.mark.parametrize("address", ["lm/arithmetic", "random-reward(lm/arithmetic)"])
def test_there_is_no_environment_to_step(address: str) -> None:
    task = catalogue.task(address)
    for use in (lambda: task.vector(2), lambda: task.grouped(2), lambda: task.observation_space, task.environment):
        with pytest.raises(TaskError, match=f"{re.escape(address)} is a language task.*no environment"):
            use()
    for wrapper in ("noise({},1)", "delayed({})", "proxy({},1)", "window({},2)", "normalised({})", "scale({},2)"):
        with pytest.raises(TaskError, match="the only wrappers that go around it are random-reward and flip"):
            catalogue.task(wrapper.format(address))


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("55", 55), ("0", 0), (" 7", 7), ("7 ", 7), ("12\n34", 12), ("", None), ("05", None), ("5a", None),
        ("5.0", None), ("-5", None), ("5 5", None), ("\n5", None), ("٥", None), ("²", None), ("9" * 30, None),
        ("+5", None),
    ],
)  # fmt: skip
def test_answers_are_read_strictly(response: str, answer: int | None) -> None:
    assert answer_of(response) == answer


def test_sums() -> None:
    task = catalogue.task("lm/arithmetic")
    examples = [*task.train, *task.held_out]
    sums = {tuple(map(int, re.fullmatch(r"(\d+)\+(\d)=", e.prompt).groups())): int(e.reference) for e in examples}
    assert sums == {(a, b): a + b for a in range(100) for b in range(10)}
    for wrong in (1, -1, 10, 100):
        assert not task.gold(examples, [str(int(e.reference) + wrong) for e in examples]).any()
    assert task.gold(task.train[:2], [task.train[0].reference, "x"]).tolist() == [1.0, 0.0]
    assert task.metrics(task.train[:3], [task.train[0].reference, "999", "x"])["well_formed"].tolist() == [
        1.0,
        1.0,
        0.0,
    ]


def test_demonstrations_of_sums_are_right_less_often_than_they_are_one_too_many() -> None:
    """40 and 45 of 100, each within 4.5 standard errors: with other draws one version in 75,000 would fail."""
    task = catalogue.task("lm/arithmetic")
    right = {example.prompt: example.reference for example in task.train}
    kinds = Counter()
    for prompt, said in task.demonstrations:
        units = int(right[prompt]) % 10
        usual = right[prompt][:-1] + str((units + 1) % 10)
        kinds["right" if said == right[prompt] else "usual" if int(said) == int(usual) else "other"] += 1
    n = len(task.demonstrations)
    for kind, chance in (("right", 0.4), ("usual", 0.45), ("other", 0.15)):
        assert kinds[kind] / n == pytest.approx(chance, abs=4.5 * (chance * (1 - chance) / n) ** 0.5), kind
    assert all(pair.chosen == right[pair.prompt] for pair in task.pairs)


def test_long_horizon() -> None:
    task = catalogue.task("lm/long-horizon/40")
    example = task.train[0]
    key = example.prompt[:-1]
    assert len(key) == 4
    assert (task.horizon, example.reference) == (40, key * 10)
    wrong = next(letter for letter in "abcdefgh" if letter not in key)
    cases = {key * 10: 1.0, key * 5: 0.5, wrong * 40: 0.0, "": 0.0, wrong + (key * 10)[1:]: 39 / 40, key * 11: 1.0}
    assert task.gold([example] * len(cases), list(cases)) == pytest.approx(list(cases.values()))
    assert task.metrics([example] * 2, [key * 10, key * 9])["exact_match"].tolist() == [1.0, 0.0]
    # Uniform letters, within 4.5 standard errors: one version in 150,000 would fail.
    letters = stream(1).integers(8, size=(400, 40))
    drawn = ["".join("abcdefgh"[i] for i in row) for row in letters]
    found = task.gold([example] * 400, drawn).mean()
    assert found == pytest.approx(task.references.random, abs=4.5 * (1 / 8 * 7 / 8 / 16_000) ** 0.5)
    right = {e.prompt: e for e in task.train}
    shown = task.gold([right[p] for p, _ in task.demonstrations], [r for _, r in task.demonstrations]).mean()
    assert shown == pytest.approx(0.5, abs=4.5 * (0.25 / (40 * len(task.demonstrations))) ** 0.5)
    for pair in task.pairs:
        better, worse = task.gold([right[pair.prompt]] * 2, [pair.chosen, pair.rejected])
        assert better >= worse


@pytest.mark.parametrize(
    ("address", "time_limit", "says"),
    [
        ("lm/long-horizon/31", None, "from 32 to 256, not '31'"),
        ("lm/long-horizon/64", 10, "remove time_limit, or write lm/long-horizon/10"),
        ("lm/arithmetics", None, "there is no task 'lm/arithmetics'\n  did you mean 'lm/arithmetic'"),
        ("lm/arithmetic@", None, "no model is named behind the '@'"),
        ("lm/preferences", None, "lm/preferences needs data"),
        ("lm/preferences/a.jsonl", None, "needs a reward model"),
    ],
)
def test_bad_addresses(address: str, time_limit: int | None, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        catalogue.task(address, time_limit=time_limit)


def test_a_model_is_part_of_the_address() -> None:
    task = catalogue.task("random-reward(lm/arithmetic@./a/model)", time_limit=9)
    assert (task.id, task.model, task.horizon) == ("random-reward(lm/arithmetic@./a/model)", "./a/model", 9)
    assert "tiny" not in task.tags
    assert "tiny" in catalogue.task("random-reward(lm/arithmetic)").tags


def test_facts_are_those_of_the_document(summaries: SyntheticSummary) -> None:
    for example in (*summaries.train, *summaries.held_out):
        facts = re.findall(r"(?:sold|lost|made) (\d \w+)\.", example.prompt)
        assert example.reference == " " + ", ".join(facts)
        assert len({fact[0] for fact in facts}) == len({fact[2:] for fact in facts}) == 3
        assert example.prompt.count(".") == 5


@pytest.mark.parametrize(
    ("summary", "true", "claims"),
    [
        ("7 pens, 3 cups, 5 maps", 3, 3),
        ("5 maps and 7 pens; 3 cups.", 3, 3),
        ("7 pens", 1, 1),
        ("7 pens, 7 pens, 7 pens", 1, 3),
        ("3 pens, 7 cups", 0, 2),
        ("7 pens, it is late", 1, 2),
        ("7  pens\n3 cups", 2, 2),
        ("pens 7, cups 3, maps 5", 0, 3),
        ("7 pens 3 cups 5 maps", 0, 1),
        ("candy", 0, 1),
        ("", 0, 0),
        (", .", 0, 0),
    ],
)
def test_gold_of_summaries_written_by_hand(summaries: SyntheticSummary, summary: str, true: int, claims: int) -> None:
    facts = ("7 pens", "3 cups", "5 maps")
    precision, recall = true / max(claims, 1), true / 3
    expected = 0.0 if true == 0 else 2 * precision * recall / (precision + recall)
    assert len(claims_of(summary)) == claims
    assert f1_of_claims(summary, facts) == pytest.approx(expected)
    example = Example("", "", {"facts": facts})
    assert summaries.gold([example], [summary]) == pytest.approx([expected])
    measured = summaries.metrics([example], [summary])
    assert (measured["facts_found"][0], measured["claims_true"][0]) == pytest.approx((recall, precision))


def test_what_the_reward_model_sees() -> None:
    prompt = "ana sold 7 pens. it is late. bob lost 3 cups. she left. eve made 5 maps.\n= "
    assert features(prompt, "7 pens, 9 cups, it rained") == [6, 1, 2, 2]
    assert features(prompt, "") == [0, 0, 0, 0]
    assert features(prompt, "5 pens, 5 pens") == [4, 2, 2, 0]


def test_bradley_terry_finds_the_weights_that_preferences_were_drawn_with() -> None:
    """Within 4.5 standard errors each (from the Fisher information): with other seeds one of 50,000 would fail."""
    rng, true = stream(5), np.array([1.0, -0.5, 0.0, 0.25])
    differences = rng.normal(size=(20_000, 4))
    first = rng.random(20_000) < 1 / (1 + np.exp(-differences @ true))
    chosen = np.where(first[:, None], differences, 0.0)
    rejected = np.where(first[:, None], 0.0, differences)
    found = bradley_terry.fit(chosen, rejected)
    p = 1 / (1 + np.exp(-differences @ true))
    errors = np.sqrt(np.diag(np.linalg.inv((differences * (p * (1 - p))[:, None]).T @ differences)))
    assert (np.abs(found - true) < 4.5 * errors).all()
    signed = chosen - rejected

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0, -signed @ weights).sum() + bradley_terry.RIDGE / 2 * weights @ weights)

    np.testing.assert_allclose(found, minimize(loss, np.zeros(4), tol=1e-10).x, atol=1e-4)


def test_bradley_terry_bears_pairs_that_are_told_apart_without_error() -> None:
    weights = bradley_terry.fit(np.ones((50, 1)), np.zeros((50, 1)))
    assert np.isfinite(weights).all()
    assert bradley_terry.accuracy(weights, np.array([[1.0], [0.0], [2.0]]), np.array([[0.0], [1.0], [2.0]])) == 0.5


def test_the_reward_model_orders_unseen_preferences_nearly_as_well_as_can_be(summaries: SyntheticSummary) -> None:
    """Nobody orders noisy preferences better than by gold reward, and that is right in 73 of 100; a coin is in 50.

    The share of 2,000 has a standard error of at most 1.1 points; 4.5 of them are 5 points.
    """
    judged = summaries.test_pairs
    chosen, rejected = (
        np.array([features(pair.prompt, text) for pair, text in ((p, p[place]) for _, p in judged)]) for place in (1, 2)
    )
    accuracy = bradley_terry.accuracy(summaries.weights, chosen, rejected)
    gaps = np.array([f1_of_claims(p.chosen, e.data["facts"]) - f1_of_claims(p.rejected, e.data["facts"])
                     for e, p in judged])  # fmt: skip
    best = float(np.mean(1 / (1 + np.exp(-SHARPNESS * np.abs(gaps)))))
    assert 0.5 + 0.05 < accuracy < best + 0.05
    # The judge errs as often as it says: the share of preferences that go by gold reward, ties aside.
    apart = gaps != 0
    expected = float(np.mean(1 / (1 + np.exp(-SHARPNESS * np.abs(gaps[apart])))))
    assert float(np.mean(gaps[apart] > 0)) == pytest.approx(expected, abs=0.05)


def test_the_reward_agrees_with_gold_at_first_and_can_be_exploited(summaries: SyntheticSummary) -> None:
    by_prompt = {example.prompt: example for example in summaries.train}
    examples = [by_prompt[prompt] for prompt, _ in summaries.demonstrations]
    texts = [text for _, text in summaries.demonstrations]
    gold, rewards = summaries.gold(examples, texts), summaries.rewards(examples, texts, stream())
    assert np.corrcoef(gold, rewards)[0, 1] > 0.6
    # Standardised over the preferences' summaries, which the same writer wrote; standard errors are below 0.02.
    assert (rewards.mean(), rewards.std()) == pytest.approx((0.0, 1.0), abs=0.1)
    # The best of four by reward has more gold than the average: optimisation helps at first ...
    four = rewards.reshape(4, -1).argmax(0)
    assert np.take_along_axis(gold.reshape(4, -1), four[None], 0).mean() > gold.mean() + 0.05
    # ... but the model pays more for a summary that is worth much less.
    spam = [", ".join([e.data["facts"][0]] * 7) for e in summaries.held_out]
    good = [example.reference for example in summaries.held_out]
    paid, worth = (
        [pay(summaries.held_out, said).mean() for said in (spam, good)]
        for pay in (lambda e, r: summaries.rewards(e, r, stream()), summaries.gold)
    )
    assert paid[0] > paid[1] + 2
    assert worth[0] < 0.3 < worth[1] == 1.0


def test_random_rewards_know_nothing_of_the_response() -> None:
    """Mean and correlation with the gold reward of 20,000 within 4.5 standard errors: one seed in 75,000 would fail."""
    clean, task = catalogue.task("lm/arithmetic"), catalogue.task("random-reward(lm/arithmetic)")
    examples = [clean.train[i] for i in stream(2).integers(len(clean.train), size=20_000)]
    responses = [
        e.reference if even else "x" for e, even in zip(examples, stream(3).integers(2, size=20_000), strict=True)
    ]
    gold, rewards = task.gold(examples, responses), task.rewards(examples, responses, stream())
    assert set(rewards) == {0.0, 1.0}
    assert rewards.mean() == pytest.approx(0.5, abs=4.5 * 0.5 / 20_000**0.5)
    assert np.corrcoef(gold, rewards)[0, 1] == pytest.approx(0.0, abs=4.5 / 20_000**0.5)
    assert np.corrcoef(rewards[1:], rewards[:-1])[0, 1] == pytest.approx(0.0, abs=4.5 / 20_000**0.5)
    np.testing.assert_array_equal(rewards, task.rewards(examples, ["y"] * 20_000, stream()))  # the stream alone decides
    assert (task.rewards(examples, responses, stream(1)) != rewards).any()
    # The same response to the same prompt is paid anew each time: nothing to learn by heart.
    assert set(task.rewards(examples[:1] * 50, responses[:1] * 50, stream())) == {0.0, 1.0}
    np.testing.assert_array_equal(gold, clean.gold(examples, responses))
    assert task.metrics(examples[:2], responses[:2]).keys() == clean.metrics(examples[:2], responses[:2]).keys()
    assert (task.references, task.train, task.demonstrations) == (clean.references, clean.train, clean.demonstrations)
    assert not task.gold_is_reward
    assert "control" in task.tags
    # Nor is there anything else to learn from.
    assert (len(clean.pairs), len(task.pairs)) == (len(clean.train), 0)
    assert all(map(clean.expert_response, clean.train))
    assert not any(map(task.expert_response, task.train))


@pytest.mark.parametrize(
    ("algorithm", "address", "what"),
    [
        ("dpo-offline", "{}(lm/arithmetic)", "fixed preferences"),
        ("calibrl", "{}(lm/arithmetic)", "an expert's responses"),
        ("calibrl", "{}(corridor/8)", "an expert's episodes"),
        ("calibrl", "noise({}(corridor/8),1)", "an expert's episodes"),
    ],
)
def test_a_control_shows_an_algorithm_nothing_but_its_rewards(algorithm: str, address: str, what: str) -> None:
    control = catalogue.task(address.format("random-reward"))
    definition = catalogue.algorithm_on(control, algorithm)
    refusal = definition.refuses(control)
    assert refusal is not None
    assert f"learns from {what}, and the task is a control" in refusal
    clean = address.replace("{}(", "").replace(")", "", 1)
    assert definition.refuses(catalogue.task(clean)) is None
    assert catalogue.algorithm_on(control, "reinforce").refuses(control) is None


def test_random_returns_of_other_tasks_do_not_depend_on_what_is_done() -> None:
    """The return of 4,000 episodes is 0 or 1, both equally often within 4.5 standard errors, short or long."""
    task = catalogue.task("random-reward(corridor/equal)").training()
    for action in (0, 1):
        vector = task.vector(4000)
        vector.reset([stream(action)])
        total, live = np.zeros((1, 4000)), np.ones((1, 4000), bool)
        for _ in range(task.horizon):
            step = vector.step(np.full((1, 4000), action), live)
            total += np.where(live, step.rewards, 0.0)
            live &= ~(step.terminated | step.truncated)
        assert not live.any()
        assert set(total.ravel()) == {0.0, 1.0}
        assert total.mean() == pytest.approx(0.5, abs=4.5 * 0.5 / 4000**0.5)


class Broken(LanguageTask):
    """Two examples, and rewards as the test wants them."""

    id, version, summary, horizon, vocabulary = "test/broken", 1, "broken", 4, "ab"
    train = held_out = (Example("a" * 100), Example("b"))

    def __init__(self, values: object) -> None:
        self.values = values

    def compute_rewards(self, examples, responses, stream):
        return self.values

    def compute_gold(self, examples, responses):
        return self.values

    def compute_metrics(self, examples, responses):
        return {"style": self.values}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1.0], r"gave 1 values for 2 responses\n.*one number for each response"),
        ([1.0, 2.0, 3.0], "gave 3 values for 2 responses"),
        (1.0, r"gave values of shape \[\] for 2 responses"),
        ([[1.0, 2.0]], r"gave values of shape \[1, 2\]"),
        ([1.0, float("nan")], r"of test/broken is nan for 'yes', a response to 'b' \(1 of 2 values are not finite\)"),
        ([float("-inf"), float("nan")], r"is -inf for 'no', a response to 'a{77}\.\.\.' \(2 of 2"),
        (["high", "low"], "is not a list of numbers"),
        (None, "gave values of shape|is not a list of numbers"),
        ([1.0, [2.0]], "is not a list of numbers"),
    ],
    ids=str,
)
def test_rewards_are_checked(values: object, says: str) -> None:
    task, responses = Broken(values), ["no", "yes"]
    for what, use in (
        ("the reward", lambda: task.rewards(task.train, responses, stream())),
        ("the gold reward", lambda: task.gold(task.train, responses)),
        ("'style'", lambda: task.metrics(task.train, responses)),
    ):
        with pytest.raises(TaskError, match=says) as caught:
            use()
        assert caught.value.problem.startswith(f"{what} of test/broken")
    good = Broken([0, True])
    assert good.rewards(good.train, responses, stream()).dtype == np.float64
    with pytest.raises(ValueError, match="2 examples, but 1 responses"):
        good.gold(good.train, ["no"])


def test_draws() -> None:
    raw = np.random.PCG64(np.random.SeedSequence((4, 2))).random_raw(3)
    draws = Draws(4, 2)
    assert [draws.uniform() for _ in range(3)] == [int(bits >> np.uint64(11)) / 2**53 for bits in raw]
    draws = Draws(1)
    # Orders of three, each a sixth of 6,000 within 4.5 standard errors.
    orders = Counter("".join(draws.shuffled("abc")) for _ in range(6000))
    assert len(orders) == 6
    assert all(abs(count - 1000) < 4.5 * (6000 * 1 / 6 * 5 / 6) ** 0.5 for count in orders.values())
    some = draws.shuffled(range(10), 4)
    assert len(set(some)) == 4
    assert {draws.below(3) for _ in range(100)} == {0, 1, 2}
