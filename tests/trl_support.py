"""TRL's own trainers, random batches as they and ours see them; what our objectives make of those.

OBJECTIVE_BATCHES=200 pytest tests/objectives -k trl compares on so many batches; with OBJECTIVE_TABLE=FILE the largest
differences go there.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch

GROUPS, TRAJECTORIES, STEPS = 3, 4, 7
#: Random batches of each comparison on given log-probabilities.
BATCHES = int(os.environ.get("OBJECTIVE_BATCHES", "5"))


def trl() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("trl", reason="TRL is not installed (extra `test`)")
        from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer  # loaded on first use, with its own warnings

    return GRPOTrainer, GRPOConfig, DPOTrainer, DPOConfig


@dataclass(frozen=True)
class Trl:
    """TRL's two trainers, each with a model of its own (TRL changes a model's forward pass), and the same weights."""

    grpo: Any
    dpo: Any
    model: Any
    vocabulary: int


def tiny_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).double()


def built(folder: Path) -> Trl:
    """The trainers; skips where TRL is not installed."""
    GRPOTrainer, GRPOConfig, DPOTrainer, DPOConfig = trl()
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(28))]
    words_model = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    words_model.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words_model, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    common = {
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": TRAJECTORIES,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grpo = GRPOTrainer(
            model=tiny_model(),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(
                output_dir=str(folder / "grpo"), num_generations=TRAJECTORIES, max_completion_length=STEPS, **common
            ),
            train_dataset=Dataset.from_dict({"prompt": ["w1 w2"] * 8}),
            processing_class=tokenizer,
        )
        dpo = DPOTrainer(
            model=tiny_model(),
            ref_model=tiny_model(),
            args=DPOConfig(output_dir=str(folder / "dpo"), **common),
            train_dataset=Dataset.from_dict({"prompt": ["w1 w2"], "chosen": ["w3"], "rejected": ["w4"]}),
            processing_class=tokenizer,
        )
    grpo.current_gradient_accumulation_steps = 1
    for trainer in (grpo, dpo):
        trainer.model.double().train()
    dpo.ref_model.double()
    return Trl(grpo, dpo, tiny_model(), 32)


def weights(seed: int) -> Tensor:
    """A flat tensor of parameters for `tiny_model`, far enough from each other that ratios differ."""
    model = tiny_model()
    generator = torch.Generator().manual_seed(seed)
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return flat + 0.05 * torch.randn(flat.shape, generator=generator, dtype=flat.dtype)


def load(model: Any, flat: Tensor) -> None:
    with torch.no_grad():
        for p, part in zip(model.parameters(), flat.split([p.numel() for p in model.parameters()]), strict=True):
            p.copy_(part.view_as(p))


def random_batch(seed: int) -> TrajectoryBatch:
    """One seed, groups of responses of 1 to STEPS tokens, with ratios on both sides of the clipping."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    shape = (1, GROUPS, TRAJECTORIES, STEPS)
    lengths = torch.randint(1, STEPS + 1, shape[:-1], generator=generator)
    log_probs = uniform(-3, -0.1, *shape)
    reference = log_probs + uniform(-0.5, 0.5, *shape)
    return TrajectoryBatch(
        log_probs=log_probs,
        entropy=uniform(0, 2, *shape),
        kl_to_reference=torch.full(shape, torch.nan, dtype=torch.float64),  # neither loss may look at it
        behaviour_log_probs=log_probs + uniform(-0.5, 0.5, *shape),
        reference_log_probs=reference,
        mask=torch.arange(STEPS) < lengths[..., None],
        rewards=torch.zeros(shape, dtype=torch.float64),
        returns=uniform(0, 1, *shape[:-1]),
        horizon=STEPS,
    )


def ours(objective: Objective, batch: TrajectoryBatch) -> tuple[float, Tensor]:
    """Loss, and its gradient by the log-probabilities."""
    leaf = batch.log_probs.detach().requires_grad_()
    found = objective(TrajectoryBatch(**{**vars(batch), "log_probs": leaf})).loss.sum()
    return float(found.detach()), torch.autograd.grad(found, leaf)[0]


def advantages(returns: Tensor, *, scale: bool) -> Tensor:
    """As TRL computes them before its loss: `rewards - mean`, divided by `std + 1e-4` unless told otherwise."""
    centred = returns - returns.mean(-1, keepdim=True)
    return centred / (returns.std(-1, keepdim=True) + 1e-4) if scale else centred


def set_up(trainer: Any, loss: str, options: dict[str, Any], beta: float, entropy: float) -> None:
    trainer.loss_type, trainer.beta = loss, beta
    trainer.epsilon_low, trainer.epsilon_high = 0.2, options.get("clip_high", 0.2)
    trainer.entropy_coef, trainer._entropy_bonus_enabled = entropy, entropy > 0
    trainer.args.steps_per_generation = 1
    trainer.importance_sampling_level = "token"
    # The paper's KL term; TRL's default multiplies it with the ratio (DeepSeek-V3.2).
    trainer.args.use_bias_correction_kl = options.get("kl_correction", False)
    trainer.args.delta = options.get("two_sided_clip")


def grpo_inputs(batch: TrajectoryBatch, *, scale: bool) -> dict[str, Tensor]:
    rows = GROUPS * TRAJECTORIES
    mask = batch.mask.view(rows, STEPS)
    return {
        "prompt_ids": torch.zeros(rows, 1, dtype=torch.int64),
        "prompt_mask": torch.ones(rows, 1, dtype=torch.int64),
        "completion_ids": torch.zeros(rows, STEPS, dtype=torch.int64),
        "completion_mask": mask.long(),
        "advantages": advantages(batch.returns, scale=scale).view(rows),
        "old_per_token_logps": batch.behaviour_log_probs.view(rows, STEPS),
        "ref_per_token_logps": batch.reference_log_probs.view(rows, STEPS),
        "num_items_in_batch": mask.sum(),
    }


class Outputs:
    """What TRL's patched models return, with the log-probabilities given."""

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs
        self.entropy = self.mean_logits = torch.zeros_like(log_probs)
        self.is_top1 = torch.zeros_like(log_probs, dtype=torch.bool)


#: Largest differences found so far, loss and gradient, by the name of the comparison.
DIFFERENCES: dict[str, tuple[float, float]] = {}


def agree(name: str, theirs: Tensor, leaf: Tensor, objective: Objective, batch: TrajectoryBatch) -> None:
    """Value and gradient by the log-probabilities within 1e-6 (of values above 1: relative to them).

    Args:
        leaf: what TRL's loss was computed from; its elements in the order of the batch's.
    """
    (their_gradient,) = torch.autograd.grad(theirs, leaf)
    value, gradient = ours(objective, batch)
    other = float(theirs.detach())
    here = (
        abs(value - other) / max(abs(other), 1.0),
        float((gradient.reshape(-1) - their_gradient.reshape(-1)).abs().max()),
    )
    before = DIFFERENCES.get(name, (0.0, 0.0))
    DIFFERENCES[name] = max(before[0], here[0]), max(before[1], here[1])
    assert here[0] <= 1e-6
    assert here[1] <= 1e-6


def table() -> str:
    """Largest differences, a line for each comparison: loss, gradient, name."""
    return "".join(f"{one:8.1e} {two:8.1e}  {name}\n" for name, (one, two) in DIFFERENCES.items())
