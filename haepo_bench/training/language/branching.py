"""Branches: responses that share another's tokens up to the one of highest entropy; the best of all are kept."""

from dataclasses import replace

import numpy as np
import torch

from haepo_bench.objectives.plans import BranchingPlan
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.shapes import Array
from haepo_bench.training.language.batches import Batch, Reviser, Revision, Sampled
from haepo_bench.training.places import best_places
from haepo_bench.training.streams import stream


class ResponseBrancher(Reviser):
    """Samples the branches of all responses of a batch.

    Args:
        micro_batch: responses that pass through the model at a time where entropies are computed; None: all.
    """

    def __init__(self, plan: BranchingPlan, sampled: Sampled, policy: LanguagePolicy, micro_batch: int | None) -> None:
        self._plan, self._sampled, self._policy, self._micro_batch = plan, sampled, policy, micro_batch

    def revise(self, batch: Batch, seed: int, iteration: int) -> Revision:
        copies, rows = self._plan.branches, len(batch.responses)
        ids, forks = batch.responses.texts(), highest_entropy(self._policy, batch.responses, self._micro_batch)
        begun = np.full((rows, max(1, int(forks.max()))), -1, np.int64)
        for row, until in enumerate(forks):
            begun[row, :until] = ids[row][:until]
        found = self._sampled.answers(
            batch.prompts,
            rows // batch.groups * copies,
            noise=stream("branching", seed, iteration),
            reward=stream("branching", seed, iteration, "reward"),
            begun=np.repeat(begun, copies, 0),
        )
        (places,) = best_places(batch.returns[None], found.returns[None], batch.groups)
        every, returns = [*ids, *found.ids], np.concatenate([batch.returns, found.returns])
        prompts = np.repeat(batch.prompts, rows // batch.groups).tolist()
        kept = replace(
            batch, responses=self._sampled.rows(prompts, [every[i] for i in places]), returns=returns[places]
        )
        tokens = sum(map(len, found.ids)) - int(forks.sum()) * copies
        return Revision(kept, tokens, len(found.ids), {"branch_share": float((places >= rows).mean())})


@torch.no_grad()
def highest_entropy(policy: LanguagePolicy, responses: Responses, micro_batch: int | None) -> Array:
    """The place [row] of the token at which a policy has the highest entropy; the first of several."""
    found = np.zeros(len(responses), np.int64)
    for part in torch.split(torch.arange(len(responses), device=responses.tokens.device), micro_batch or len(found)):
        some = responses.select(part)
        entropy = policy.evaluate(some).entropy
        assert entropy is not None  # asked for by default
        found[part.cpu().numpy()] = torch.where(some.mask, entropy, -1.0).argmax(1).cpu().numpy()
    return found
