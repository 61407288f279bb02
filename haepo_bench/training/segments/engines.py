"""Which engine computes a run of an objective on segments."""

from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.results.record import Engine
from haepo_bench.training.segments.engine import TorchSegments


def segment_engine(engine: Engine, network: ActorCritic) -> TorchSegments:
    """The engine of that name."""
    if engine == "torch":
        return TorchSegments(network)
    from haepo_bench.training.segments.compiled import CompiledSegments

    return CompiledSegments(network)
