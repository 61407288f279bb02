"""All objectives of the catalogue on language tasks, and what some of them ask for beside a batch of responses."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from language_support import Vowels, small_policy, small_tiny_model, texts
from torch import Tensor

from haepo_bench import catalogue
from haepo_bench.objectives.a2po import AStarPo
from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.calibrl import Calibrl
from haepo_bench.objectives.dcpo import Dcpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.qrpo import Qrpo
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.objectives.soup import Soup
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import uniforms
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.training.episodes.algorithm import NativeDefinition
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.language.models import find_source
from haepo_bench.training.language.packed_responses import PackedResponses
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.start import starting_model
from haepo_bench.training.language.trainer import LanguageTrainer
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.streams import stream

PROMPTS = [[1, 3], [1, 3, 4, 5, 6, 3], [1, 6, 6]]
RETURNS = np.array([1.0, 0.0, 0.5, 0.25, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 0.5, 1.5])
#: Not those that are for tasks of small policies alone.
EPISODIC = [
    name
    for name in catalogue.ALGORITHMS
    if isinstance(catalogue.algorithm(name), NativeDefinition) and name not in ("repo-stand-in", "hybrid-dpo-stand-in")
]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield


@pytest.mark.parametrize("name", [*EPISODIC, "ppo-batched"])
def test_every_objective_trains(name: str) -> None:
    """Rewards are tosses of a coin, so that responses differ in them before anything is learnt."""
    task = catalogue.task("random-reward(lm/arithmetic)")
    own: dict[str, Any] = {"prompts": 4, "completions": 4, "fine_tuning_steps": 0, "entropy_coefficient": 0.0}
    if name == "ppo-batched":
        own["ent_coef"] = own.pop("entropy_coefficient")
    own |= {"reference_episodes": 2} if name in ("qrpo", "a2po") else {}
    own |= {"rephrasing_prompt": "{demonstration}{prompt}"} if name == "repo" else {}
    results: list[SeedResult] = []
    # Two iterations are at most 192 tokens, those of the reference included.
    recorder = Recorder([0], budget=200, every=200, episodes=2, on_finished=results.append)
    catalogue.language_algorithm(name).configure(own, task).train(task, [0], recorder, device="cpu")
    (result,) = results
    assert result.status == "done", result.reason
    assert float(result.curve["gradient_steps"][-1] or 0) >= 2
    assert np.isfinite(float(result.curve["loss"][-1]))  # type: ignore[arg-type]
    assert float(result.curve["gradient_norm"][-1] or 0) > 1e-4
    implicit = name in ("dpo", "h-dpo", "ipo", "reward-distillation", "qrpo", "a2po")
    assert ("implicit_value" in result.curve) is ("implicit_value_deviation" in result.curve) is implicit


def collected(policy: LanguagePolicy) -> Responses:
    return policy.sample(PROMPTS, uniforms(np.random.default_rng(0), 12, 6), copies=4)


def update_of(policy: LanguagePolicy, objective: Objective, **options: Any) -> PackedResponses:
    return PackedResponses(policy, collected(policy), RETURNS, groups=3, horizon=6, objective=objective, **options)


def batch_of(update: PackedResponses) -> TrajectoryBatch:
    """What an objective sees at the first gradient."""
    seen: list[TrajectoryBatch] = []

    class Watching(Reinforce):
        def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
            seen.append(batch)
            return super().__call__(batch)

    update.gradient(Watching())
    return seen[0]


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_log_probs_at_other_temperatures_are_those_of_divided_logits(micro_batch: int | None) -> None:
    """And they cost no pass of their own: each row goes through the model as often as for other objectives."""
    policy = small_policy(temperature=0.7)
    rows = collected(policy)
    logits = policy.distributions(rows)  # up to a number a token, which the softmax takes away
    passes: list[int] = []
    policy.model.register_forward_pre_hook(lambda *_: passes.append(1))
    objective = Dcpo(warm=2.0, cold=0.5)
    update = PackedResponses(policy, rows, RETURNS, groups=3, horizon=6, objective=objective, micro_batch=micro_batch)
    assert len(passes) == (1 if micro_batch is None else 3)
    batch = batch_of(update)
    assert batch.tempered_log_probs is not None
    for found, temperature in zip(batch.tempered_log_probs, (2.0, 0.5), strict=True):
        expected = torch.log_softmax(logits / temperature, -1).gather(-1, rows.tokens[:, -rows.columns :, None])[..., 0]
        expected = expected.reshape(1, 3, 4, -1)
        torch.testing.assert_close(found[batch.mask], expected[batch.mask], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found[batch.mask], batch.behaviour_log_probs[batch.mask], atol=1e-2)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_an_expert_is_judged_by_the_policy_that_collected(micro_batch: int | None) -> None:
    """Token by token, one sequence after the other; NaN beyond its end, and cut where the batch ends."""
    policy = small_policy()
    responses = [[3, 2], [4, 5, 6, 3, 4, 5, 6, 2], [2]]
    expert = Responses.of(PROMPTS, responses, 0)
    batch = batch_of(update_of(policy, Calibrl(), expert=expert, micro_batch=micro_batch))
    found = batch.expert_log_probs
    assert found is not None
    assert found.shape == (1, 3, batch.mask.shape[-1])
    for row, (prompt, response) in enumerate(zip(PROMPTS, responses, strict=True)):
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        expected = torch.full((found.shape[-1],), torch.nan)
        own = torch.log_softmax(logits, -1)[torch.arange(len(response)), response][: len(expected)]
        expected[: len(own)] = own
        torch.testing.assert_close(found[0, row], expected, equal_nan=True, atol=1e-5, rtol=1e-5)


def test_the_batch_stands_in_for_a_sample_of_the_reference_that_collected_it() -> None:
    policy = small_policy()
    stood_in = batch_of(update_of(policy, Qrpo()))
    assert stood_in.reference_returns is not None
    assert torch.equal(stood_in.reference_returns, stood_in.returns)
    sample = np.arange(15.0).reshape(3, 5)
    given = batch_of(update_of(policy, Qrpo(), reference=policy.snapshot(), reference_returns=sample))
    assert given.reference_returns is not None
    assert given.reference_returns.tolist() == [sample.tolist()]
    assert batch_of(update_of(policy, Reinforce())).reference_returns is None


@pytest.mark.parametrize(
    "objective", [Qrpo(), AStarPo(), Dcpo(), Calibrl(), Soup(beta=0.1)], ids=lambda one: type(one).__name__
)
def test_micro_batches_give_the_gradient_of_the_whole_batch(objective: Objective) -> None:
    """Off the behaviour policy, with a reference of its own."""
    found: list[Tensor] = []
    for micro_batch in (None, 5, 1):
        policy, other = small_policy(), small_policy(seed=1).parameters
        options: dict[str, Any] = {"reference": policy.parameters + 0.1 * (other - policy.parameters)}
        if objective.reference_sample:
            options["reference_returns"] = np.linspace(-1, 2, 24).reshape(3, 8)
        if objective.wants_expert:
            options["expert"] = Responses.of(PROMPTS, [[3, 2], [4, 5, 6, 3, 2], [4, 2]], 0)
        if objective.prefixes:
            options["prefixes"] = Prefixes(0.9 * policy.parameters, np.arange(12)[None] % 4)
        update = update_of(policy, objective, micro_batch=micro_batch, **options)
        update.gradient(objective)
        policy.parameters.add_(0.02 * (other - policy.parameters))
        policy.publish()
        update.gradient(objective)
        found.append(policy.gradient.clone())
    scale = float(found[0].abs().max())
    assert scale > 0
    for one in found[1:]:
        torch.testing.assert_close(one, found[0], atol=1e-5 * scale, rtol=1e-4)


class Watched(LanguageTrainer):
    """Keeps which prompts its batches had, their tokens, and what was known of the reference."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[list[int], int, np.ndarray[Any, Any]]] = []

    def update(self, batch: Any, sampling_seconds: float = 0.0) -> None:
        assert self.reference_returns is not None
        self.seen.append((list(batch.prompts), batch.tokens, self.reference_returns.of(batch.prompts)))
        super().update(batch, sampling_seconds)


def watched(budget: int, **settings: Any) -> tuple[Watched, SeedResult]:
    results: list[SeedResult] = []
    recorder = Recorder([5], budget=budget, every=budget, episodes=2, on_finished=results.append)
    chosen = LanguageSettings(prompts=6, completions=2, fine_tuning_steps=0, learning_rate=0.05, **settings)
    trainer = Watched(Vowels(), Qrpo(reference_episodes=3), chosen, find_source("tiny"), texts(), 5, recorder, "cpu")
    trainer.train()
    return trainer, results[0]


def test_the_reference_is_sampled_once_a_prompt_and_its_tokens_count() -> None:
    """Rebuilt from the starting model and the streams; the policy that is trained has long been another."""
    trainer, result = watched(1400, reference="initial")
    task, start = Vowels(), LanguageSettings(fine_tuning_steps=0)
    fresh = LanguagePolicy(starting_model(task, find_source("tiny"), texts(), start, "cpu"), pad=0, stops=texts().stops)
    assert (trainer.policy.parameters - fresh.parameters).abs().max() > 0.05
    known: dict[int, list[float]] = {}
    tokens = responses = 0
    assert len(trainer.seen) > 4
    for iteration, (prompts, batch_tokens, returns) in enumerate(trainer.seen):
        missing = [prompt for prompt in prompts if prompt not in known]
        if missing:
            noise = uniforms(stream("reference noise", 5, iteration), len(missing) * 3, task.horizon)
            found = fresh.sample(texts().prompts([task.train[i].prompt for i in missing]), noise, copies=3)
            gold = task.compute_gold([task.train[0]] * len(found), texts().decode(found.texts()))
            known |= dict(zip(missing, gold.reshape(-1, 3).tolist(), strict=True))
            tokens += int(found.lengths.sum())
            responses += len(found)
        assert returns.tolist() == [known[prompt] for prompt in prompts]
        tokens += batch_tokens
        responses += 12
    assert len(known) == len(task.train)  # so that the last batches came for nothing more
    last = trainer.tokens - tokens  # of the batch that reached the budget, after which nothing is updated
    assert 12 <= last <= 12 * task.horizon
    assert result.cost["env_steps_collected"] == trainer.tokens
    assert result.curve["episodes"][-1] == responses + 12


def test_a_renewed_reference_is_sampled_anew() -> None:
    trainer, _ = watched(900, reference=3)
    prompts = [set(chosen) for chosen, _, _ in trainer.seen]
    returns: list[dict[int, list[float]]] = [
        dict(zip(chosen, known.tolist(), strict=True)) for chosen, _, known in trainer.seen
    ]
    changes = same = 0
    for n in range(1, len(prompts)):
        for prompt in prompts[n] & prompts[n - 1]:
            kept = returns[n][prompt] == returns[n - 1][prompt]
            assert kept or n % 3 == 0
            changes, same = changes + (not kept), same + kept
    assert changes > 0
    assert same > 0


@pytest.mark.parametrize("micro_batch", [None, 5])
def test_prefix_tokens_are_judged_by_the_earlier_policy(micro_batch: int | None) -> None:
    """And an earlier policy that is the current one makes GRPO of SOUP."""
    policy, lengths = small_policy(), np.arange(12)[None] % 5
    earlier = small_policy(seed=1).snapshot()
    batch = batch_of(update_of(policy, Soup(), prefixes=Prefixes(earlier, lengths), micro_batch=micro_batch))
    rows = collected(policy)
    own = policy.evaluate(rows).log_probs
    with policy.under(earlier):
        theirs = policy.evaluate(rows).log_probs
    expected = torch.where(torch.arange(rows.columns) < torch.from_numpy(lengths[0])[:, None], theirs, own)
    expected = expected.detach().reshape(1, 3, 4, -1)
    torch.testing.assert_close(batch.behaviour_log_probs[batch.mask], expected[batch.mask], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(theirs, own, atol=0.1)
    same = Prefixes(policy.snapshot(), lengths)
    gradients = []
    for objective, options in ((Soup(beta=0.3), {"prefixes": same}), (Grpo(beta=0.3), {})):
        update_of(policy, objective, reference=earlier, micro_batch=micro_batch, **options).gradient(objective)
        gradients.append(policy.gradient.clone())
    scale = float(gradients[1].abs().max())
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5 * scale, rtol=1e-4)


class Stirred(LanguageTrainer):
    """Keeps what the policy was at each iteration, and its batches."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[Tensor, Any]] = []

    def update(self, batch: Any, sampling_seconds: float = 0.0) -> None:
        self.seen.append((self.policy.snapshot(), batch))
        super().update(batch, sampling_seconds)


def test_earlier_policies_begin_responses_and_the_current_one_ends_them() -> None:
    """Rebuilt from what the policy was at each iteration and the streams."""
    results: list[SeedResult] = []
    recorder = Recorder([5], budget=500, every=500, episodes=2, on_finished=results.append)
    settings = LanguageSettings(prompts=4, completions=5, fine_tuning_steps=0, learning_rate=0.05)
    objective = Soup(history_interval=2, history_size=2, longest_prefix=1.0, prefix_share=0.6)
    task = Vowels()
    trainer = Stirred(task, objective, settings, find_source("tiny"), texts(), 5, recorder, "cpu")
    trainer.train()
    assert len(trainer.seen) > 4
    begun = ended = 0
    for iteration, (now, batch) in enumerate(trainer.seen):
        kept, lengths = list(range(0, iteration, 2))[-2:], np.zeros((4, 5), int)
        earlier = now
        if kept:
            draw = stream("prefix", 5, iteration)
            earlier, collected_then = trainer.seen[kept[int(draw.integers(len(kept)))]]
            lengths[:, :3] = np.floor(draw.random((4, 3)) * float(collected_then.responses.lengths.double().mean()))
        noise = uniforms(stream("action noise", 5, iteration), 20, task.horizon)
        prompts = texts().prompts([task.train[i].prompt for i in batch.prompts])
        for row, response in enumerate(batch.responses.texts()):
            cut, prompt = int(lengths.flat[row]), prompts[row // 5]
            with trainer.policy.under(earlier):
                (prefix,) = trainer.policy.sample([prompt], noise[row : row + 1]).texts()
            assert response[:cut] == prefix[:cut]
            if len(response) > cut:
                with trainer.policy.under(now):
                    opening = np.array([[*response[:cut], -1]])
                    (whole,) = trainer.policy.sample([prompt], noise[row : row + 1], prefix_tokens=opening).texts()
                assert response == whole
            begun, ended = begun + min(cut, len(response)), ended + max(0, len(response) - cut)
    assert begun > 50
    assert ended > 50
    # All tokens are paid for; after the last batch, which reached the budget, nothing is updated.
    tokens = sum(batch.tokens for _, batch in trainer.seen)
    assert tokens < 500 <= trainer.tokens == results[0].cost["env_steps_collected"] <= tokens + 20 * task.horizon


def test_an_expert_is_the_tasks_own_response() -> None:
    assert "none for 24 of 24 prompts" in str(catalogue.language_algorithm("calibrl").refuses(Vowels()))
    task = Vowels()
    task.train = [Example(example.prompt, "aaaa") for example in task.train]
    assert catalogue.language_algorithm("calibrl").refuses(task) is None
    for address in ("lm/arithmetic", "lm/scratchpad", "lm/synthetic-summary", "lm/long-horizon/32"):
        assert catalogue.language_algorithm("calibrl").refuses(catalogue.task(address)) is None
    settings = LanguageSettings(prompts=3, completions=2, fine_tuning_steps=0)
    recorder = Recorder([0], budget=100, every=100, episodes=2)
    trainer = LanguageTrainer(task, Calibrl(), settings, find_source("tiny"), texts(), 0, recorder, "cpu")
    assert trainer.expert is not None
    a = texts().responses(["a"])[0][0]
    # A stop token stands at its end.
    assert trainer.expert([2, 0]).texts() == [[a] * 4 + list(texts().stops[:1])] * 2
    task.horizon = 3
    assert trainer.expert([1]).texts() == [[a] * 3]
