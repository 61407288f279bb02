"""Is the distribution of the return recovered by a flow as critic? On a chain that ends in one of two outcomes.

    python studies/flow_critic.py                  # 8 seeds each; about 40 CPU seconds

The true distribution is known: the last step pays 1 with probability 0.3 and else -1, each step before it `reward`.
`n` episodes are seen and learnt from until the end; what is measured is the Wasserstein distance between the flow's
samples at the start of the chain and the truth. The share of successes among n episodes alone is that of a binomial,
whose mean distance from the truth falls as 1 / sqrt(n). `tests/training/test_flow_returns.py` is the small sister.
"""

import dataclasses
import time
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from haepo_bench.policies.mlp import Network
from haepo_bench.policies.return_flow import STEPS, ReturnFlow
from haepo_bench.policies.shapes import Array
from haepo_bench.training.adam import Adam
from haepo_bench.training.segments import flow_returns
from haepo_bench.training.segments.flow_returns import Drawn, FlowReturns, flow_errors
from haepo_bench.training.streams import stream

#: Chance of the better outcome.
CHANCE = 0.3
#: Samples of the flow that are compared with the truth, and gradient steps between new targets.
_SAMPLES, _RENEWED, _REDRAWN = 1024, 40, 20


@dataclasses.dataclass(frozen=True)
class Chain:
    """What is seen of which chain.

    Args:
        episodes: n.
        length: of an episode.
        reward: of each step but the last.
        bootstrapped: which bootstrapped loss: `ours`, `none`, or that of Value Flows' code.
    """

    episodes: int
    length: int = 2
    reward: float = 0.0
    gamma: float = 1.0
    bootstrapped: str = "ours"


class Found(NamedTuple):
    """What the flows of some seeds are worth, [seed].

    Args:
        distance: Wasserstein's, of their samples at the start from the truth.
        sampled: the same of the outcomes that were seen.
    """

    distance: Array
    sampled: Array


def learnt(chain: Chain, seeds: int = 8, steps: int = 600, rate: float = 1e-2, batch: int = 128) -> Found:
    """Learns flows from episodes of a chain, all seeds at once, by `steps` of Adam at a rate that falls to zero."""
    critic, L, n = ReturnFlow(), chain.length, chain.episodes
    network = Network(L, (32,), critic.head, last_gain=1.0)
    initial = [network.initial(stream("initialisation", seed, n)) for seed in range(seeds)]
    parameters, generator = torch.from_numpy(np.stack(initial)), stream("environment", n)
    won = generator.random((seeds, n)) < CHANCE
    rewards, over = np.full((seeds, n, L), chain.reward, np.float32), np.zeros((seeds, n, L), bool)
    rewards[:, :, -1], over[:, :, -1] = np.where(won, 1, -1), True
    observations = torch.eye(L).repeat(1, n)[None].expand(seeds, -1, -1).contiguous()
    adam, streams = Adam(parameters, rate, 1e-5), [stream("critic", seed, n) for seed in range(seeds)]
    drawn = data = None
    for step in range(steps):
        adam.learning_rate = rate * (1 - step / steps)
        folded = network.fold(parameters)
        if data is None or step % _RENEWED == 0:
            here = critic.field(network.outputs(folded, observations))
            after = critic.field(network.outputs(folded, torch.zeros(seeds, L, n)))  # nothing follows there
            data = FlowReturns(here, after, rewards, over, gamma=chain.gamma, gae_lambda=0.95, streams=streams)
        if drawn is None or step % _REDRAWN == 0:
            drawn = _as_asked(data.drawn(), chain, torch.from_numpy(rewards.reshape(seeds, -1)))
        taken = torch.from_numpy(generator.integers(0, n * L, (seeds, batch)))[:, None]
        rows = observations.gather(2, taken.expand(-1, L, -1))
        outputs, inputs = network.forward(folded, rows)
        outputs.requires_grad_()
        loss = flow_errors(critic.field(outputs), drawn.gather(2, taken.expand(-1, drawn.shape[1], -1))).mean(1).sum()
        adam.step(network.backward(folded, inputs, torch.autograd.grad(loss, outputs)[0]))
    start = torch.eye(L)[:, :1].expand(-1, _SAMPLES)[None].expand(seeds, -1, -1).contiguous()
    return _measured(critic.field(network.outputs(network.fold(parameters), start)).path, chain, won)


def _measured(path, chain: Chain, won: Array) -> Found:  # type: ignore[no-untyped-def]  # of `Field`
    places = (torch.arange(_SAMPLES) + 0.5) / _SAMPLES
    noise = torch.distributions.Normal(0.0, 1.0).icdf(places)[None].expand(len(won), -1).contiguous()
    found = path(noise)[:, -1].sort(1).values.numpy()
    before = sum(chain.reward * chain.gamma**t for t in range(chain.length - 1))
    last = chain.gamma ** (chain.length - 1)
    truth = before + last * np.where(places.numpy() < 1 - CHANCE, -1, 1)
    return Found(np.abs(found - truth).mean(1), 2 * last * np.abs(won.mean(1) - CHANCE))


def _as_asked(drawn: torch.Tensor, chain: Chain, rewards: torch.Tensor) -> torch.Tensor:
    """The targets with another bootstrapped loss, at gamma 1, where eps2 has no weight."""
    if chain.bootstrapped == "ours":
        return drawn
    of = Drawn(*drawn.unbind(1))
    if chain.bootstrapped == "none":
        return torch.stack(list(of._replace(follows=torch.zeros_like(of.follows))), 1)
    assert chain.gamma == 1
    shift = (1 - of.step / STEPS) * rewards
    return torch.stack(list(of._replace(point=of.point + shift, velocity=of.velocity - rewards)), 1)


def _row(label: str, found: Found, seconds: float) -> str:
    mean, error = found.distance.mean(), found.distance.std(ddof=1) / np.sqrt(len(found.distance))
    return f"{label:44} {mean:.3f} +- {error:.3f}   of the sample {found.sampled.mean():.3f}   {seconds:.1f} CPU s"


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    sizes, distances = (16, 64, 256, 1024), []
    for n in sizes:
        begun = time.process_time()
        found = learnt(Chain(n))
        distances.append(found.distance.mean())
        print(_row(f"{n} episodes", found, time.process_time() - begun), flush=True)
    print(f"slope of log distance over log n: {np.polyfit(np.log(sizes), np.log(distances), 1)[0]:.2f}\n")
    for which in ("ours", "none", "as in the code"):
        begun = time.process_time()
        found = learnt(Chain(256, length=3, reward=0.5, bootstrapped=which))
        print(_row(f"reward 0.5 on the way, bootstrapped: {which}", found, time.process_time() - begun), flush=True)
    with patch.object(flow_returns, "STRAIGHTNESS", 1.0):
        begun = time.process_time()
        found = learnt(Chain(256, length=3, reward=0.5))
    print(_row("the same, straightness with weight 1", found, time.process_time() - begun), flush=True)


if __name__ == "__main__":
    main()
