"""Sampling and evaluating a language model that is never updated."""

from haepo_bench.training.language.batches import Batch
from haepo_bench.training.language.trainer import LanguageTrainer


class UntrainedTrainer(LanguageTrainer):
    """As its parent, without updates."""

    def update(self, batch: Batch, sampling_seconds: float = 0.0) -> None:
        return
