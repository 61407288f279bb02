"""`lm/scratchpad`: lengths, leaps, slips and rewards against an independent calculation."""

import re
from functools import cache

import numpy as np
import pytest

from haepo_bench import catalogue
from haepo_bench.policies.tiny import tiny_model, tiny_tokenizer
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.tasks.lm.scratchpad import LEAP, LEAP_SLIPS, STEP_SLIPS, Scratchpad, answer_of, working
from haepo_bench.training.language.texts import Texts


@pytest.fixture(scope="module")
def task() -> Scratchpad:
    return catalogue.task("lm/scratchpad")


def total(prompt: str) -> int:
    """Python's own arithmetic; knows nothing of the task's data."""
    return int(eval(prompt))


def moves_of(prompt: str, response: str) -> list[tuple[str, int, bool]]:
    """Of each move its mark, the terms that it adds, and by how much it is wrong, judged from where the last ended."""
    reached, term, left = map(int, re.split(r"[+*]", prompt))
    found = []
    for mark, text in zip(re.findall("[=~]", response), re.split("[=~]", response)[1:], strict=True):
        number, _, rest = text.partition("+")
        after = int(rest.partition("*")[2]) if rest else 0
        assert not rest or rest.startswith(f"{term}*")
        found.append((mark, left - after, int(number) - reached - (left - after) * term))
        reached, left = int(number), after
    assert left == 0
    return found


def test_a_working() -> None:
    assert working(9, 7, 4) == "=16+7*3=23+7*2=30+7*1=37"


def test_rewards_agree_with_an_independent_checker(task: Scratchpad) -> None:
    right = {example.prompt: example for example in task.train}
    examples = [right[prompt] for prompt, _ in task.demonstrations]
    texts = [text for _, text in task.demonstrations]
    expected = [int(re.split("[=~]", text)[-1]) == total(e.prompt) for e, text in zip(examples, texts, strict=True)]
    assert 0.1 < np.mean(expected) < 0.5
    np.testing.assert_array_equal(task.gold(examples, texts), expected)
    for example in (*task.train, *task.held_out):
        assert int(example.reference.split("=")[-1]) == total(example.prompt)
    for pair in task.pairs:
        assert task.gold([right[pair.prompt]] * 2, [pair.chosen, pair.rejected]).tolist() == [1.0, 0.0]


def test_demonstrations_are_right_as_often_as_their_leaps_and_slips_let_them(task: Scratchpad) -> None:
    """Against the exact probability, prompt by prompt; 4.5 standard errors. Slips add up: none takes another back."""

    @cache
    def right(terms: int) -> float:
        if terms < 2:
            return (1 - STEP_SLIPS) ** terms
        return LEAP * (1 - LEAP_SLIPS) * right(terms - 2) + (1 - LEAP) * (1 - STEP_SLIPS) * right(terms - 1)

    found = np.mean([int(re.split("[=~]", text)[-1]) == total(prompt) for prompt, text in task.demonstrations])
    expected = np.array([right(int(prompt.split("*")[1])) for prompt, _ in task.demonstrations])
    error = (expected * (1 - expected)).sum() ** 0.5 / len(expected)
    assert found == pytest.approx(expected.mean(), abs=4.5 * error)


def test_leaps_add_two_terms_and_steps_one(task: Scratchpad) -> None:
    """Shares within 4.5 standard errors of what is declared."""
    moves = [move for prompt, text in task.demonstrations for move in moves_of(prompt, text)]
    assert {(mark, terms) for mark, terms, _ in moves} == {("=", 1), ("~", 2)}
    assert {slip for *_, slip in moves} == {0, 1, 2}
    for mark, declared in (("~", LEAP_SLIPS), ("=", STEP_SLIPS)):
        wrong = [slip > 0 for own, _, slip in moves if own == mark]
        assert np.mean(wrong) == pytest.approx(declared, abs=4.5 * (declared * (1 - declared) / len(wrong)) ** 0.5)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("=16+7*3=37", 37), ("~37", 37), ("=0", 0), ("", None), ("37", None), ("=", None), ("=16+7*3", None),
        ("=16+7*3=037", None), ("=37=", None), ("=16+7=37", None), ("x=37", None), ("=16+7*3=-2", None),
        ("=٣", None), ("=37\n", None), ("=" + "9" * 30, None),
    ],
)  # fmt: skip
def test_answers_are_read_strictly(response: str, answer: int | None) -> None:
    assert answer_of(response) == answer


def test_an_answer_may_be_right_where_the_working_is_wrong(task: Scratchpad) -> None:
    example = Example("9+7*4", working(9, 7, 4), {"sum": (9, 7, 4)})
    texts = {
        example.reference: (1.0, 1.0, 1.0),
        "=16+7*3~30+7*1=37": (1.0, 1.0, 2 / 3),
        "~23+7*2~37": (1.0, 1.0, 0.0),
        "=17+7*3~30+7*1=37": (1.0, 0.0, 2 / 3),  # two slips that cancel out
        "=37": (1.0, 0.0, 1.0),
        "=16+7*3=37": (1.0, 0.0, 1.0),
        "=16+7*3=23+7*2=30+7*1~37": (1.0, 0.0, 3 / 4),  # a leap where one term is left
        "=16+7*3=23+7*2=30+7*1=38": (0.0, 0.0, 1.0),
        "=16+7*3=23+7*2=30": (0.0, 0.0, 1.0),
    }
    found = task.metrics([example] * len(texts), list(texts))
    measured = zip(*(found[name].tolist() for name in ("exact_match", "working_right", "careful")), strict=True)
    assert dict(zip(texts, measured, strict=True)) == texts
    assert found["well_formed"].all()


def test_careful_workings_have_20_to_80_tokens_and_unequally_many(task: Scratchpad) -> None:
    tokens = Texts(tiny_tokenizer(task.vocabulary))
    lengths = [len(ids) for ids in tokens.responses([example.reference for example in (*task.train, *task.held_out)])]
    assert (min(lengths), max(lengths)) == (21, 69) == (21, task.horizon)
    assert np.std(lengths) > 10
    shown = [len(ids) for ids in tokens.responses([text for _, text in task.demonstrations])]
    assert max(shown) <= task.horizon
    assert np.mean(shown) < np.mean(lengths) - 5, "haste makes responses shorter"


def test_its_model_has_one_to_three_million_parameters(task: Scratchpad) -> None:
    model = tiny_model(task.vocabulary, task.tiny_width)
    assert 1e6 <= sum(p.numel() for p in model.parameters()) <= 3e6
