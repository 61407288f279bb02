"""Which engine computes a run of an objective on whole episodes."""

from haepo_bench.policies.network import PolicyNetwork
from haepo_bench.results.record import Engine
from haepo_bench.training.episodes.engine import TorchEngine


def episode_engine(engine: Engine, network: PolicyNetwork, device: str) -> TorchEngine:
    """The engine of that name."""
    if engine == "torch":
        return TorchEngine(network, device)
    from haepo_bench.training.episodes.compiled import CompiledEngine

    return CompiledEngine(network)
