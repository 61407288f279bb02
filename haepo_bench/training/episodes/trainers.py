"""Which trainer trains a run of an objective on whole episodes."""

from haepo_bench.training.episodes.trainer import EpisodeTrainer


def trainer_class(pretraining: float) -> type[EpisodeTrainer]:
    """The trainer for runs of which such a share of the budget is pretraining."""
    if not pretraining:
        return EpisodeTrainer
    from haepo_bench.training.episodes.pretraining import PretrainedTrainer

    return PretrainedTrainer
