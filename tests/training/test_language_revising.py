"""`repo` and `iib-lpo-stand-in` on language tasks: which responses take whose places, and what is learnt from them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_support import run_apart
from language_support import Vowels, small_model, small_tiny_model, texts
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError, TaskError
from haepo_bench.objectives.plans import BranchingPlan, RephrasingPlan
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.sampling import uniforms
from haepo_bench.results.record import References
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.lm.base import LanguageTask, VerifiedTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.training.language.batches import Sampled
from haepo_bench.training.language.branching import ResponseBrancher, highest_entropy
from haepo_bench.training.language.packed_responses import PackedResponses
from haepo_bench.training.language.rephrasing import ResponseRephraser
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.streams import stream


class Expert(Vowels):
    """Vowels with an expert who writes three right letters."""

    id = "lm/vowels-expert"

    def expert_response(self, example: Example) -> str:
        return "aaab"


def made(task: LanguageTask) -> tuple[LanguagePolicy, Sampled]:
    own = texts()
    policy = LanguagePolicy(small_model(initializer_range=0.2), pad=own.pad, stops=own.stops)
    return policy, Sampled(task, policy, own, LanguageSettings(prompts=3, completions=4))


def alone(policy: LanguagePolicy, prompt: list[int], response: Sequence[int]) -> torch.Tensor:
    """Distributions [token, vocabulary] that a response's tokens are taken from, without any other row or padding."""
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 : -1], 1)


def test_branches_share_tokens_up_to_the_least_sure_one_and_the_best_are_kept() -> None:
    task = Vowels()
    policy, sampled = made(task)
    batch = sampled.batch(0, 1)
    prompts, ids = texts().prompts([task.train[i].prompt for i in batch.prompts]), batch.responses.texts()
    forks = highest_entropy(policy, batch.responses, 5)
    for row, response in enumerate(ids):
        chances = alone(policy, prompts[row // 4], response).exp()
        entropy = torch.distributions.Categorical(probs=chances).entropy()
        assert float(entropy[forks[row]]) == pytest.approx(float(entropy.max()), abs=1e-5)
    assert len(set(forks.tolist())) > 1
    revision = ResponseBrancher(BranchingPlan(2), sampled, policy, 5).revise(batch, 0, 1)
    # The branches drawn again, one by one, each behind the tokens that it shares.
    noise, branches = uniforms(stream("branching", 0, 1), 24, task.horizon), []
    for number in range(24):
        row = number // 2
        until = forks[row]
        rest = policy.sample([[*prompts[row // 4], *ids[row][:until]]], noise[number : number + 1, until:]).texts()[0]
        branches.append([*ids[row][:until], *rest])
    worth = [np.array(task.gold([Example("")] * len(some), texts().decode(some))) for some in (ids, branches)]
    for group in range(3):
        own, more = slice(4 * group, 4 * group + 4), slice(8 * group, 8 * group + 8)
        best = sorted([*worth[0][own], *worth[1][more]], reverse=True)[:4]
        assert sorted(revision.batch.returns[own], reverse=True) == best
        kept = revision.batch.responses.texts()[own]
        assert all(one in [*ids[own], *branches[more]] for one in kept)
        assert task.gold([Example("")] * 4, texts().decode(kept)).tolist() == revision.batch.returns[own].tolist()
    assert revision.responses == 24
    assert revision.tokens == sum(map(len, branches)) - 2 * int(forks.sum())
    assert 0 < revision.columns["branch_share"] < 1


@pytest.mark.parametrize(
    "plan",
    [
        RephrasingPlan(0.5, None, prompt="{demonstration}{prompt}"),
        RephrasingPlan(0.9, 0.3, prompt="{demonstration}"),
    ],
)
def test_the_policys_answer_to_the_demonstration_replaces_the_worst(plan: RephrasingPlan) -> None:
    """Of eight batches, by the rule of the finite tasks, which is tried there."""
    task = Expert()
    policy, sampled = made(task)
    replaced = 0
    for iteration in range(8):
        batch = sampled.batch(0, iteration)
        before, revision = (
            batch.returns.copy(),
            ResponseRephraser(plan, task, sampled, texts()).revise(batch, 0, iteration),
        )
        assert (batch.returns == before).all()
        noise, after = uniforms(stream("rephrasing", 0, iteration), 3, task.horizon), revision.batch
        for group, place in enumerate(batch.prompts):
            prompt = task.train[place].prompt
            shown = "aaab" + (prompt if "{prompt}" in (plan.prompt or "") else "")
            (version,) = policy.sample(texts().prompts([shown]), noise[group : group + 1]).texts()
            worth = float(task.gold([Example("")], texts().decode([version]))[0])
            own = before[4 * group : 4 * group + 4]
            bar = worth if plan.failed is None else plan.failed
            takes = (own < bar).mean() >= plan.share and worth > own.min() and worth >= bar
            replaced += takes
            rows = after.responses.texts()[4 * group : 4 * group + 4]
            expected = [*batch.responses.texts()[4 * group : 4 * group + 4]]
            if takes:
                expected[int(own.argmin())] = version
            assert rows == expected
            assert after.returns[4 * group : 4 * group + 4].max() >= own.max()
        # The behaviour's log-probabilities are those of an answer to the prompt itself.
        packed = PackedResponses(policy, after.responses, after.returns, groups=3, horizon=task.horizon)
        for row, response in enumerate(after.responses.texts()):
            (prompt_ids,) = texts().prompts([task.train[batch.prompts[row // 4]].prompt])
            expected_lp = alone(policy, prompt_ids, response).gather(1, torch.tensor(response)[:, None])[:, 0]
            found = packed._batch.behaviour_log_probs.reshape(12, -1)[row, : len(response)]
            assert torch.allclose(found, expected_lp, atol=1e-5)
    assert replaced > 0


class Memory:
    """Checkpoints in memory; breaks off at the third."""

    def __init__(self, breaks: bool) -> None:
        self.kept: dict[int, bytes] = {}
        self.left = 3 if breaks else 10**6

    def due(self) -> bool:
        return True

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        self.kept.update({seed: state(seed) for seed in seeds})
        self.left -= 1
        if not self.left:
            raise InterruptedError

    def read(self, seed: int) -> bytes | None:
        return self.kept.get(seed)


def run(algorithm: str, task: LanguageTask, budget: int, checkpoints: Any = None, **parameters: Any) -> SeedResult:
    return runs(algorithm, task, budget, [0], checkpoints, **parameters)[0]


def runs(
    algorithm: str, task: LanguageTask, budget: int, seeds: Sequence[int], checkpoints: Any = None, **parameters: Any
) -> list[SeedResult]:
    own = {"prompts": 4, "completions": 4, "learning_rate": 1e-2, **parameters}
    results: list[SeedResult] = []
    recorder = Recorder(
        seeds, budget=budget, every=budget // 2, episodes=6, on_finished=results.append, checkpoints=checkpoints
    )
    catalogue.language_algorithm(algorithm).configure(own, task).train(task, list(seeds), recorder, device="cpu")
    return results


@pytest.fixture
def small(tmp_path: Path) -> Iterator[None]:
    with small_tiny_model(tmp_path):
        yield


@pytest.mark.parametrize(
    ("algorithm", "column", "parameters"),
    [
        ("repo", "rephrased_share", {"rephrasing_prompt": "{demonstration}{prompt}", "failed_share": 0.25}),
        ("iib-lpo-stand-in", "branch_share", {"branches": 2, "micro_batch": 5}),
    ],
)
def test_runs_repeat_themselves_and_go_on(small: None, algorithm: str, column: str, parameters: dict[str, Any]) -> None:
    whole = run(algorithm, Expert(), 600, **parameters)
    assert whole.status == "done"
    assert float(whole.curve[column][-1] or 0) > 0
    stopped = Memory(True)
    with pytest.raises(InterruptedError):
        run(algorithm, Expert(), 600, stopped, **parameters)
    rest = Memory(False)
    rest.kept = stopped.kept
    assert without_clocks(run(algorithm, Expert(), 600, rest, **parameters)) == without_clocks(whole)


LETTERS = "abcd"


class Secret(VerifiedTask):
    """A word of four letters to each prompt, that nobody can guess; demonstrations teach to copy one that is shown."""

    id, version, summary = "lm/secret", 1, "know a word"
    horizon, success_return, vocabulary = 5, 1.0, [*LETTERS, ":", "|"]
    references = References(random=0.0, solved=1.0, source="none right, all right")
    fine_tuning_steps, tiny_width = 400, 64

    def __init__(self) -> None:
        generator = np.random.default_rng(0)

        def word(letters: int) -> str:
            return "".join(generator.choice(list(LETTERS), letters))

        examples = [Example(f"{a}{b}:", word(4)) for a in LETTERS for b in LETTERS]
        self.train, self.held_out = examples[::2], examples[1::2]
        self.demonstrations = [(f"{word(2)}:", word(4)) for _ in range(1000)]
        for _ in range(2000):
            shown = word(4)
            self.demonstrations.append((f"{word(2)}:{shown}|", shown))

    def compute_gold(self, examples: Sequence[Example], responses: Sequence[str]) -> Array:
        both = zip(examples, responses, strict=True)
        return np.array([example.reference == response for example, response in both], np.float64)


def test_a_policy_that_can_rephrase_learns_what_it_would_not_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One word in 256 is right. Seen after 6,000 tokens, over seeds: 0.12 ± 0.08 of the training responses right, with
    GRPO 0.01. Should rounding ever give six other seeds, their mean is below 0.04 in about one case of a hundred."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = {"prompts": 8, "completions": 8, "learning_rate": 1e-3}
    found = runs("repo", Secret(), 6_000, range(6), rephrasing_prompt="{prompt}{demonstration}|", **options)
    assert all(float(each.curve["rephrased_share"][1] or 0) > 0.05 for each in found)
    assert np.mean([each.curve["train_return"][-1] for each in found]) > 0.04
    found = runs("grpo", Secret(), 6_000, range(3), **options)
    assert np.mean([each.curve["train_return"][-1] for each in found]) < 0.02


def test_what_cannot_be_rephrased_is_refused(tmp_path: Path) -> None:
    for address, says in (
        ("random-reward(lm/arithmetic)", "nothing but its random rewards"),
        ("deep-sea/8", "elsewhere there is repo-stand-in"),
        ("gym/CartPole-v1", "elsewhere there is repo-stand-in"),
    ):
        task = catalogue.task(address)
        assert says in str(catalogue.algorithm_on(task, "repo").refuses(task))
    task = catalogue.task("lm/arithmetic")
    definition = catalogue.language_algorithm("repo")
    assert definition.refuses(task) is None
    with pytest.raises(TaskError, match="has no token for"):
        definition.configure({}, task)
    with pytest.raises(ParameterError, match=r"\{demonstration\}"):
        definition.configure({"rephrasing_prompt": "{prompt}"}, task)
    with pytest.raises(TaskError, match="context"):
        definition.configure({"rephrasing_prompt": "{demonstration}" + "1" * 2048}, task)
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: one\nseeds: 1\nbudget: {env_steps: 100}\ntasks: [lm/arithmetic]\n"
        "algorithms:\n  - use: repo\n    params:\n      rephrasing_prompt: Say it.\n"
    )
    done = run_apart("validate", str(suite))
    assert done.code == 4
    assert "suite.yaml:8" in done.err
    assert "{demonstration}" in done.err


def test_no_suite_of_ours_has_it() -> None:
    for file in list_suites().values():
        assert "use: repo" not in file.read_text()
