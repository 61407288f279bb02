"""The trainer configuration that all algorithms share on language tasks."""

from typing import Annotated, Literal

from pydantic import Field

from haepo_bench.objectives.hyperparameters import Hyperparameters, hyper
from haepo_bench.objectives.spaces import COMPLETIONS, GAE, LANGUAGE_EPOCHS, LANGUAGE_LEARNING_RATE

_SHARED = "ours, shared by all; chosen on lm/arithmetic (docs/how-to/language.md)"
_TRL = "TRL"


class LanguageSettings(Hyperparameters):
    """What all algorithms share on language tasks, so that a comparison is one of objectives."""

    prompts: int = hyper(16, "prompts per batch: the groups of an objective", unit="prompts", source=_SHARED, ge=1)
    completions: int = hyper(
        8,
        "responses to each prompt of a batch",
        unit="responses",
        source=f"{_TRL} (num_generations)",
        ge=1,
        le=4096,
        search=COMPLETIONS,
    )
    epochs: int = hyper(
        1,
        "gradient steps per iteration, each on the whole batch",
        source=_SHARED,
        ge=1,
        le=1000,
        search=LANGUAGE_EPOCHS,
    )
    learning_rate: float = hyper(1e-4, "of Adam", source=_SHARED, gt=0, le=10, search=LANGUAGE_LEARNING_RATE)
    max_gradient_norm: float | None = hyper(
        1.0, "gradient is scaled down to this Euclidean norm; null for never", source=_TRL, gt=0
    )
    reference: Literal["previous", "initial"] | Annotated[int, Field(ge=1)] = hyper(
        "previous",
        "the frozen policy that KL terms and DPO refer to: the one that collected the batch, the initial one, or a "
        "copy renewed every N iterations",
    )
    sampling_temperature: float = hyper(
        1.0, "divides the logits; the policy is what comes out, in sampling and in every log-probability", gt=0, le=100
    )
    top_p: float = hyper(1.0, "responses are drawn from the likeliest tokens that hold this probability", gt=0, le=1)
    dtype: Literal["float32", "bfloat16"] = hyper(
        "float32", "of the model; the optimiser keeps float32 parameters in either case"
    )
    micro_batch: int | None = hyper(
        None,
        "responses that pass through the model at a time, the gradient being that of the whole batch; null: all",
        unit="responses",
        ge=1,
    )
    gradient_checkpointing: bool = hyper(False, "compute layers again for the gradient instead of keeping them")
    lora_rank: int | None = hyper(
        None,
        "train low-rank adapters (LoRA, arXiv 2106.09685) of this rank instead of the model; null: the model",
        ge=1,
    )
    lora_alpha: int = hyper(16, "adapters are scaled by this over their rank", source=f"{_TRL}'s examples", gt=0)
    chat_template: bool = hyper(True, "prompts go through the tokenizer's chat template, where it has one")
    fine_tuning_steps: int | None = hyper(
        None,
        "steps of supervised fine-tuning on the task's demonstrations that make the starting policy; null: what the "
        "task says for the tiny model, none for others",
        unit="gradient steps",
        ge=0,
    )
    fine_tuning_learning_rate: float = hyper(1e-3, "of Adam in fine-tuning, falling to zero linearly", gt=0, le=10)


class LanguageSegmentSettings(LanguageSettings):
    """Further settings of objectives with a value function: PPO on language tasks."""

    gamma: float = hyper(1.0, "discount factor, a token", source=_TRL, ge=0, le=1)
    gae_lambda: float = hyper(0.95, "lambda of generalised advantage estimation", source=_TRL, ge=0, le=1, search=GAE)
