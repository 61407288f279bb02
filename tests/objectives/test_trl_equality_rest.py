"""The losses that TRL has besides GRPO's and DPO's, against TRL's own code on the same log-probabilities."""

import warnings
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trl_support import BATCHES, GROUPS, STEPS, Outputs, Trl, agree, grpo_inputs, random_batch, set_up

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.cpo import Cpo, SimPo
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.kto import Kto
from haepo_bench.objectives.luspo import Luspo
from haepo_bench.objectives.orpo import Orpo
from haepo_bench.objectives.sapo import Sapo
from haepo_bench.objectives.vespo import Vespo

PURE: dict[str, Any] = {"entropy_coefficient": 0.0}

#: TRL's loss_type, the level of its ratios, options as `set_up` has them, beta; our objective.
LOSSES: dict[str, tuple[str, str, dict[str, Any], float, Objective]] = {
    "sapo": ("sapo", "token", {}, 0.0, Sapo(**PURE)),
    "luspo": ("luspo", "sequence", {}, 0.0, Luspo(**PURE, clip_low=0.2, clip_high=0.2)),
    "vespo": ("vespo", "token", {}, 0.0, Vespo(**PURE)),
    "two-sided clip": ("grpo", "token", {"two_sided_clip": 1.4}, 0.0, Grpo(**PURE, beta=0.0, two_sided_clip=1.4)),
    "two-sided clip, dapo": (
        "dapo",
        "token",
        {"two_sided_clip": 1.25, "clip_high": 0.2},
        0.0,
        Grpo(**PURE, beta=0.0, aggregation="token", two_sided_clip=1.25),
    ),
    "corrected k3": ("grpo", "token", {"kl_correction": True}, 0.04, Grpo(**PURE, kl_correction=True)),
    "corrected k3, token mean": (
        "bnpo",
        "token",
        {"kl_correction": True},
        0.5,
        Grpo(**PURE, beta=0.5, aggregation="token", kl_correction=True),
    ),
}


@pytest.mark.parametrize(("loss", "level", "options", "beta", "objective"), LOSSES.values(), ids=list(LOSSES))
def test_equal_trl_on_the_same_log_probs(
    trainers: Trl,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
    level: str,
    options: dict[str, Any],
    beta: float,
    objective: Objective,
) -> None:
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.view(-1, STEPS).clone().requires_grad_()
        given = (leaf, batch.entropy.view(-1, STEPS), None)
        monkeypatch.setattr(trainers.grpo, "_get_per_token_logps_and_entropies", lambda *_, given=given, **__: given)
        set_up(trainers.grpo, loss, options, beta, 0.0)
        trainers.grpo.importance_sampling_level = level
        theirs = trainers.grpo._compute_loss(trainers.grpo.model, grpo_inputs(batch, scale=True))
        agree(f"{loss}, {options}" if options else loss, theirs, leaf, objective, batch)


BEST_WORST: dict[str, Any] = {**PURE, "pairs": "best-worst"}


def best_and_worst(x: Tensor, batch: TrajectoryBatch) -> tuple[Tensor, Tensor]:
    """What belongs to the best and to the worst trajectory of each group: [group, ...] each."""
    groups = torch.arange(GROUPS)
    return x[0, groups, batch.returns.argmax(-1)[0]], x[0, groups, batch.returns.argmin(-1)[0]]


def summed(x: Tensor, batch: TrajectoryBatch, *, mean: bool = False) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the best and of the worst, over their steps: [group] each."""
    total = batch.masked_sum(x)
    best, worst = best_and_worst(total / batch.lengths if mean else total, batch)
    return best, worst


@pytest.mark.parametrize(
    ("loss", "smoothing", "objective"),
    [
        ("hinge", 0.0, Dpo(**BEST_WORST, beta=0.5, pair_loss="hinge")),
        ("robust", 0.2, Dpo(**BEST_WORST, beta=0.5, label_smoothing=0.2, smoothing="robust")),
    ],
)
def test_options_of_dpo_equal_trl(
    trainers: Trl, monkeypatch: pytest.MonkeyPatch, loss: str, smoothing: float, objective: Objective
) -> None:
    trainer = trainers.dpo
    monkeypatch.setattr(trainer, "loss_types", [loss])
    monkeypatch.setattr(trainer, "label_smoothing", smoothing)
    monkeypatch.setattr(trainer, "beta", 0.5)
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.clone().requires_grad_()
        mask = torch.cat(best_and_worst(batch.mask, batch))
        policy, reference = (
            Outputs(torch.where(mask, torch.cat(best_and_worst(x, batch)), 0.0))
            for x in (leaf, batch.reference_log_probs)
        )
        ids = torch.zeros(2 * GROUPS, STEPS + 1, dtype=torch.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "completion_mask": torch.nn.functional.pad(mask.long(), (1, 0)),
        }
        monkeypatch.setattr(trainer, "ref_model", lambda reference=reference, **_: reference)
        model = torch.nn.Module()
        model.forward = lambda policy=policy, **_: policy  # type: ignore[method-assign]
        agree(f"dpo, {loss}", trainer._compute_loss(model, inputs, return_outputs=False), leaf, objective, batch)


def experimental(module: str, name: str) -> Any:
    """A trainer of TRL's experimental part, of which a loss is called without an instance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(pytest.importorskip(module, reason="TRL is not installed (extra `test`)"), name)


def likelihood(x: Tensor, batch: TrajectoryBatch) -> Tensor:
    """TRL's other term: cross-entropy over the tokens of the chosen responses."""
    chosen, _ = best_and_worst(x, batch)
    mask, _ = best_and_worst(batch.mask, batch)
    return -chosen[mask].mean()


@pytest.mark.parametrize(
    ("loss", "smoothing", "objective"),
    [
        ("sigmoid", 0.0, Cpo(**BEST_WORST)),
        ("sigmoid", 0.1, Cpo(**BEST_WORST, label_smoothing=0.1)),
        ("hinge", 0.0, Cpo(**BEST_WORST, pair_loss="hinge", nll_coefficient=0.5)),
        ("simpo", 0.0, SimPo(**BEST_WORST)),
        ("simpo", 0.1, SimPo(**BEST_WORST, label_smoothing=0.1, beta=1.0, margin=1.5)),
    ],
)
def test_cpo_and_simpo_equal_trl(loss: str, smoothing: float, objective: Cpo) -> None:
    trainer = SimpleNamespace(
        alpha=0.0,
        beta=objective.beta,
        loss_type=loss,
        simpo_gamma=objective.margin,
        label_smoothing=smoothing,
        accelerator=SimpleNamespace(device="cpu"),
    )
    cpo_loss = experimental("trl.experimental.cpo", "CPOTrainer").cpo_loss
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.clone().requires_grad_()
        theirs = cpo_loss(trainer, *summed(leaf, batch, mean=loss == "simpo"))[0].mean()
        agree(
            f"cpo, {loss}, smoothing {smoothing:g}",
            theirs + objective.nll_coefficient * likelihood(leaf, batch),
            leaf,
            objective,
            batch,
        )


def test_orpo_equals_trl() -> None:
    """Which casts to single precision before it takes odds."""
    trainer = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device="cpu"))
    odds_ratio_loss = experimental("trl.experimental.orpo", "ORPOTrainer").odds_ratio_loss
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.clone().requires_grad_()
        losses = odds_ratio_loss(trainer, *summed(leaf, batch, mean=True))[0]
        agree("orpo", likelihood(leaf, batch) - losses.mean(), leaf, Orpo(**BEST_WORST, beta=0.3), batch)


class OneGroup(SimpleNamespace):
    """What TRL's KTO loss asks of its trainer: the log-ratios of z are those of the batch itself."""

    def _compute_kl_logps(self, model: Any, batch: Any) -> Tensor:
        found: Tensor = self.kl_log_probs
        return found


@pytest.mark.parametrize(("good", "bad"), [(1.0, 1.0), (2.0, 0.5)])
def test_kto_equals_trl(good: float, bad: float) -> None:
    """One group, two good and two bad trajectories."""
    compute = experimental("trl.trainer.kto_trainer", "KTOTrainer")._compute_loss
    for seed in range(BATCHES):
        whole = random_batch(seed)
        first = {name: x[:, :1] for name, x in vars(whole).items() if isinstance(x, Tensor)}
        batch = TrajectoryBatch(**{**vars(whole), **first})
        leaf = batch.log_probs.clone().requires_grad_()
        mask = batch.mask[0, 0]
        steps = torch.where(mask, leaf[0, 0], 0.0)
        reference = torch.where(mask, batch.reference_log_probs[0, 0], 0.0).sum(-1)
        trainer = OneGroup(
            model=SimpleNamespace(training=True),
            accelerator=SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x),
            aux_loss_enabled=False,
            precompute_ref_logps=True,
            calculate_KL=True,
            kl_log_probs=steps.detach().sum(-1),
            loss_type="kto",
            beta=0.7,
            desirable_weight=good,
            undesirable_weight=bad,
            _metrics=defaultdict(lambda: defaultdict(list)),
            _total_train_tokens=0,
            _tp_size=1,
        )
        ids = torch.zeros(len(mask), STEPS + 1, dtype=torch.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "completion_mask": torch.nn.functional.pad(mask.long(), (1, 0)),
            "label": batch.returns[0, 0] > batch.returns[0, 0].median(),
            "ref_logps": reference,
            "ref_KL_logps": reference,
        }
        outputs = Outputs(steps)
        theirs = compute(trainer, lambda outputs=outputs, **_: outputs, inputs, return_outputs=False)
        agree("kto", theirs, leaf, Kto(**PURE, beta=0.7, good_weight=good, bad_weight=bad), batch)
