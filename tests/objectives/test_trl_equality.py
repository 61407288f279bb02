"""GRPO and DPO against TRL's own trainers: the same log-probabilities, and the same model and tokens.

TRL's loss methods are called as they are, on trainers that TRL has built; only where the log-probabilities are given
is TRL's forward pass replaced.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from trl_support import (
    BATCHES,
    GROUPS,
    STEPS,
    TRAJECTORIES,
    Outputs,
    Trl,
    advantages,
    agree,
    grpo_inputs,
    load,
    random_batch,
    set_up,
    tiny_model,
    weights,
)

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.cispo import Cispo
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.gspo import Gspo
from haepo_bench.objectives.ipo import Ipo
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.training.language.packed_responses import PackedResponses

#: TRL's name of a loss to ours.
GRPO_LOSSES: dict[str, dict[str, Any]] = {
    "grpo": {"aggregation": "sequence"},
    "dapo": {"aggregation": "token", "clip_high": 0.28},
    "bnpo": {"aggregation": "token"},
    "dr_grpo": {"aggregation": "constant", "scale_advantages": False},
}


@pytest.mark.parametrize(("beta", "entropy"), [(0.0, 0.0), (0.04, 0.01)])
@pytest.mark.parametrize("loss", GRPO_LOSSES)
def test_grpo_equals_trl_on_the_same_log_probs(
    trainers: Trl, monkeypatch: pytest.MonkeyPatch, loss: str, beta: float, entropy: float
) -> None:
    options = GRPO_LOSSES[loss]
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.view(-1, STEPS).clone().requires_grad_()
        given = (leaf, batch.entropy.view(-1, STEPS), None)
        monkeypatch.setattr(trainers.grpo, "_get_per_token_logps_and_entropies", lambda *_, given=given, **__: given)
        set_up(trainers.grpo, loss, options, beta, entropy)
        theirs = trainers.grpo._compute_loss(
            trainers.grpo.model, grpo_inputs(batch, scale=options.get("scale_advantages", True))
        )
        agree(loss, theirs, leaf, Grpo(beta=beta, entropy_coefficient=entropy, **options), batch)


@pytest.mark.parametrize(
    ("loss", "level", "epsilon", "objective"),
    [
        # TRL's epsilon_high is the highest ratio itself.
        ("cispo", "token", 1.2, Cispo(entropy_coefficient=0.0, clip_high=0.2)),
        ("cispo", "token", 5.0, Cispo(entropy_coefficient=0.0)),
        ("grpo", "sequence", 0.1, Gspo(entropy_coefficient=0.0, clip_low=0.2, clip_high=0.1)),
    ],
)
def test_cispo_and_gspo_equal_trl_on_the_same_log_probs(
    trainers: Trl, monkeypatch: pytest.MonkeyPatch, loss: str, level: str, epsilon: float, objective: Objective
) -> None:
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.view(-1, STEPS).clone().requires_grad_()
        given = (leaf, batch.entropy.view(-1, STEPS), None)
        monkeypatch.setattr(trainers.grpo, "_get_per_token_logps_and_entropies", lambda *_, given=given, **__: given)
        set_up(trainers.grpo, loss, {"clip_high": epsilon}, 0.0, 0.0)
        trainers.grpo.importance_sampling_level = level
        theirs = trainers.grpo._compute_loss(trainers.grpo.model, grpo_inputs(batch, scale=True))
        agree(f"{loss}, {level} level", theirs, leaf, objective, batch)


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("loss", ["sigmoid", "ipo"])
def test_dpo_and_ipo_equal_trl_on_the_same_log_probs(
    trainers: Trl, monkeypatch: pytest.MonkeyPatch, loss: str, beta: float
) -> None:
    trainer = trainers.dpo
    monkeypatch.setattr(trainer, "loss_types", [loss])
    pure = {"beta": beta, "pairs": "best-worst", "entropy_coefficient": 0.0}
    objective: Objective = Dpo(**pure) if loss == "sigmoid" else Ipo(**pure, length_norm=True)
    for seed in range(BATCHES):
        batch = random_batch(seed)
        # The best of each group against its worst, as rows: the chosen first, then the rejected.
        best, worst = batch.returns.argmax(-1)[0], batch.returns.argmin(-1)[0]

        def rows(x: Tensor, best: Tensor = best, worst: Tensor = worst) -> Tensor:
            groups = torch.arange(GROUPS)
            return torch.cat([x[0, groups, best], x[0, groups, worst]])

        leaf = batch.log_probs.clone().requires_grad_()
        mask = rows(batch.mask)
        policy, reference = (Outputs(torch.where(mask, rows(x), 0.0)) for x in (leaf, batch.reference_log_probs))
        ids = torch.zeros(2 * GROUPS, STEPS + 1, dtype=torch.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "completion_mask": torch.nn.functional.pad(mask.long(), (1, 0)),
        }
        monkeypatch.setattr(trainer, "ref_model", lambda reference=reference, **_: reference)
        trainer.beta = beta
        model = torch.nn.Module()
        model.forward = lambda policy=policy, **_: policy
        theirs = trainer._compute_loss(model, inputs, return_outputs=False)
        agree(f"dpo, {loss}, beta {beta:g}", theirs, leaf, objective, batch)


@dataclass(frozen=True)
class Texts:
    """Prompts of two to four tokens, and responses to each."""

    prompts: list[list[int]]
    responses: list[list[int]]
    returns: Tensor


def random_texts(groups: int, trajectories: int) -> Texts:
    generator = torch.Generator().manual_seed(3)

    def tokens(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(4, 32, (length,), generator=generator).tolist()

    prompts = [prompt for prompt in (tokens(2, 4) for _ in range(groups)) for _ in range(trajectories)]
    return Texts(
        prompts, [tokens(1, STEPS) for _ in prompts], torch.rand(len(prompts), generator=generator, dtype=torch.float64)
    )


def our_gradient(objective: Objective, texts: Texts, groups: int, micro_batch: int | None) -> tuple[float, Tensor]:
    """Loss and gradient of our policy: responses of one set of weights, a reference of another, now at a third."""
    policy = LanguagePolicy(tiny_model().float(), pad=0, stops=[2])
    policy.parameters.copy_(weights(0))
    policy.publish()
    responses = Responses.of(texts.prompts, texts.responses, 0)
    reference = weights(1).float()[None]
    update = PackedResponses(
        policy,
        responses,
        texts.returns.numpy(),
        groups=groups,
        horizon=STEPS,
        reference=reference,
        micro_batch=micro_batch,
    )
    update.gradient(objective)  # the first one is where the responses came from
    policy.parameters.copy_(weights(2))
    policy.publish()
    found = update.gradient(objective)
    return float(found["loss"]), policy.gradient[0].double()


def left(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded on the left, and their mask."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    return ids, torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])


def right(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded on the right, and their mask."""
    ids, mask = left([row[::-1] for row in rows])
    return ids.flip(1), mask.flip(1)


@pytest.mark.parametrize("micro_batch", [None, 5])
@pytest.mark.parametrize("loss", GRPO_LOSSES)
def test_grpo_equals_trl_on_the_same_model_and_tokens(trainers: Trl, loss: str, micro_batch: int | None) -> None:
    trainer, options = trainers.grpo, GRPO_LOSSES[loss]
    texts = random_texts(GROUPS, TRAJECTORIES)
    set_up(trainer, loss, options, 0.04, 0.01)
    prompt_ids, prompt_mask = left(texts.prompts)
    completion_ids, completion_mask = right(texts.responses)
    ids, mask = torch.cat([prompt_ids, completion_ids], 1), torch.cat([prompt_mask, completion_mask], 1)

    def log_probs(flat: Tensor) -> Tensor:
        load(trainer.model, flat)
        with torch.no_grad():
            found, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, completion_ids.shape[1])
        return found

    behaviour, reference = log_probs(weights(0)), log_probs(weights(1))
    load(trainer.model, weights(2))
    trainer.model.zero_grad()
    returns = texts.returns.view(1, GROUPS, TRAJECTORIES)
    theirs = trainer._compute_loss(
        trainer.model,
        {
            "prompt_ids": prompt_ids,
            "prompt_mask": prompt_mask,
            "completion_ids": completion_ids,
            "completion_mask": completion_mask,
            "advantages": advantages(returns, scale=options.get("scale_advantages", True)).view(-1),
            "old_per_token_logps": behaviour,
            "ref_per_token_logps": reference,
            "num_items_in_batch": completion_mask.sum(),
        },
    )
    theirs.backward()
    value, gradient = our_gradient(Grpo(beta=0.04, entropy_coefficient=0.01, **options), texts, GROUPS, micro_batch)
    assert value == pytest.approx(float(theirs.detach()), abs=1e-6)
    their_gradient = torch.cat([p.grad.reshape(-1) for p in trainer.model.parameters()])
    assert float(their_gradient.norm()) > 0.05
    torch.testing.assert_close(gradient, their_gradient, atol=1e-6, rtol=0)


def test_dpo_equals_trl_on_the_same_model_and_tokens(trainers: Trl) -> None:
    trainer, texts = trainers.dpo, random_texts(GROUPS, 2)
    returns = texts.returns.view(GROUPS, 2)
    order = [
        2 * group + int(place)
        for place_of in (returns.argmax(1), returns.argmin(1))
        for group, place in enumerate(place_of)
    ]
    # TRL pads whole texts on the right.
    ids, attention_mask = right([texts.prompts[row] + texts.responses[row] for row in order])
    completion_mask = attention_mask.clone()
    for line, row in enumerate(order):
        completion_mask[line, : len(texts.prompts[row])] = 0
    load(trainer.model, weights(2))
    load(trainer.ref_model, weights(1))
    trainer.model.zero_grad()
    trainer.beta = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as above
        theirs = trainer._compute_loss(
            trainer.model,
            {"input_ids": ids, "attention_mask": attention_mask, "completion_mask": completion_mask},
            return_outputs=False,
        )
    theirs.backward()
    value, gradient = our_gradient(Dpo(beta=0.1, pairs="best-worst", entropy_coefficient=0.0), texts, GROUPS, None)
    assert value == pytest.approx(float(theirs.detach()), abs=1e-6)
    their_gradient = torch.cat([p.grad.reshape(-1) for p in trainer.model.parameters()])
    assert float(their_gradient.norm()) > 0.05
    torch.testing.assert_close(gradient, their_gradient, atol=1e-6, rtol=0)
