"""Which engine computes a run: torch, or the compiled kernels where they can do all that the run needs."""

from haepo_bench.policies.mlp import Network
from haepo_bench.results.record import Engine
from haepo_bench.training.episodes.engine import TorchEngine


def episode_engine(engine: Engine, network: Network, device: str) -> TorchEngine:
    """The engine for objectives that collect whole episodes."""
    if engine == "torch":
        return TorchEngine(network, device)
    from haepo_bench.training.episodes.compiled import CompiledEngine

    return CompiledEngine(network)
