"""Rephrased responses: what the policy answers when it is shown an expert's response, in the place of a group's worst.

Its tokens are learnt from as answers to the prompt itself: nothing of what the policy was shown is in the batch.
"""

from dataclasses import replace

import numpy as np

from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.training.language.batches import Batch, Reviser, Revision, Sampled
from haepo_bench.training.language.rephrasing_prompts import rephrasing_prompts
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.places import replacements
from haepo_bench.training.streams import stream


class ResponseRephraser(Reviser):
    """Samples one rephrased response for each prompt of a batch.

    Args:
        task: as training sees it; it has an expert's response to each prompt.
    """

    def __init__(self, plan: RephrasingPlan, task: LanguageTask, sampled: Sampled, texts: Texts) -> None:
        self._plan, self._sampled = plan, sampled
        self._shown = texts.prompts(rephrasing_prompts(plan.prompt or "", task))

    def revise(self, batch: Batch, seed: int, iteration: int) -> Revision:
        found = self._sampled.answers(
            batch.prompts,
            1,
            noise=stream("rephrasing", seed, iteration),
            reward=stream("rephrasing", seed, iteration, "reward"),
            shown=[self._shown[i] for i in batch.prompts],
        )
        (replaced,), (worst,) = replacements(batch.returns[None], found.returns[None], self._plan)
        ids, returns = batch.responses.texts(), batch.returns.copy()
        for group in np.flatnonzero(replaced):
            ids[worst[group]], returns[worst[group]] = found.ids[group], found.returns[group]
        prompts = np.repeat(batch.prompts, len(ids) // batch.groups).tolist()
        kept = replace(batch, responses=self._sampled.rows(prompts, ids), returns=returns)
        tokens, columns = sum(map(len, found.ids)), {"rephrased_share": float(replaced.mean())}
        return Revision(kept, tokens, len(found.ids), columns)
