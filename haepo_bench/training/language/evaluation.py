"""Evaluating a language policy on held-out prompts: sampled and greedy responses, worth their gold reward."""

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np
import torch

from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import uniforms
from haepo_bench.policies.shapes import Array
from haepo_bench.statistics.association import kendall_tau_b
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.examples import Example
from haepo_bench.training.language.batches import drawn
from haepo_bench.training.language.credit import answer_tokens, credit_measures
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.seed_record import Evaluation
from haepo_bench.training.streams import stream

#: k of pass@k, and how many responses it is estimated from.
PASS_K = 8
#: Prompts and responses to each of the probe set that reward_alignment is measured on.
_PROBES = (32, 4)
#: Responses that pass through the model at a time where only numbers are wanted.
_ROWS = 256
#: Numbers of a tensor over the whole vocabulary.
_NUMBERS = 1 << 26


class Taken(NamedTuple):
    """Log-probabilities [row, response column] of taken tokens under two policies; zero beyond a response."""

    policy: Array
    initial: Array


class LanguageEvaluator:
    """Evaluates policies of one run; every algorithm sees the same prompts and draws for the same seed and point.

    Args:
        policy: as it is before training.
        episodes: prompts an evaluation, at most the held-out ones.
        initial: parameters of the policy before training; None where that is the model without its adapter.
        implicit: the reward of steps that a policy implies by the objective; None where it implies none.
    """

    def __init__(
        self,
        task: LanguageTask,
        policy: LanguagePolicy,
        texts: Texts,
        episodes: int,
        initial: torch.Tensor | None,
        implicit: ImplicitReward | None = None,
    ) -> None:
        self._task, self._policy, self._texts, self._initial = task, policy, texts, initial
        self._implicit = implicit
        self._episodes = min(episodes, len(task.held_out))
        self._prompts = texts.prompts([example.prompt for example in task.held_out])
        self._probes, self._probe_gold, self._probe_log_probs = self._probe_set()

    def evaluate(self, seed: int, mark: int, *, last: bool) -> Evaluation:
        """One evaluation of the policy as it is now.

        Args:
            mark: its number.
            last: whether it is the run's last, at which pass@k is measured.
        """
        task, N = self._task, self._episodes
        chosen = drawn(len(self._prompts), N, stream("evaluation", seed, mark))
        prompts = [self._prompts[i] for i in chosen]
        noise = uniforms(stream("evaluation noise", seed, mark), 2 * N, task.horizon)
        # Each prompt is answered twice, once sampled and once greedily.
        rows = self._policy.sample(prompts, noise, copies=2, greedy=np.tile([False, True], N))
        ids = rows.texts()
        texts = self._texts.decode(ids)
        examples = [task.held_out[i] for i in chosen for _ in range(2)]
        gold = task.gold(examples, texts)
        sampled = rows.select(torch.arange(0, 2 * N, 2, device=rows.tokens.device))
        kl, taken = self._compared(sampled)
        measures = {
            "eval_response_length": float(np.mean([len(one) for one in ids[::2]])),
            "distinct_2": distinct(ids[::2], 2),
            "kl_initial": kl,
            **{name: float(values[::2].mean()) for name, values in task.metrics(examples, texts).items()},
        }
        if not task.gold_is_reward:
            paid = task.training()
            proxy = paid.rewards(examples[::2], texts[::2], stream("reward", seed, mark, 1))  # type: ignore[attr-defined]
            measures |= {"proxy_return": float(proxy.mean()), "proxy_return_std": float(proxy.std())}
        measures["reward_alignment"] = self._alignment()
        if self._implicit is not None:
            measures |= self._credit(self._implicit, sampled, taken, ids[::2], texts[::2])
        final = self._pass_at_k(prompts, [task.held_out[i] for i in chosen], seed, mark) if last else {}
        return Evaluation(
            float(gold[::2].mean()),
            float(gold[::2].std()),
            float(gold[1::2].mean()),
            int(rows.lengths.sum()),
            measures,
            final,
        )

    def _compared(self, rows: Responses) -> tuple[float, Taken]:
        """The policy next to the initial one: KL(policy || initial policy) in nats per response, and the taken tokens.

        The KL is exact at each place of sampled responses, summed: estimates from the taken tokens alone have no use
        here, since far from the initial policy their variance is huge.
        """
        policy, total = self._policy, 0.0
        taken = Taken(*np.zeros((2, len(rows), rows.columns)))
        some = max(1, _NUMBERS // (rows.columns * policy.vocabulary))
        for part in torch.split(torch.arange(len(rows), device=rows.tokens.device), some):
            few = rows.select(part)
            own = policy.distributions(few)
            with policy.under(self._initial):
                initial = policy.distributions(few)
            # Where the policy gives no probability at all, 0 times infinity is nothing.
            kl = torch.where(own > -torch.inf, own.exp() * (own - initial), 0.0).sum(-1)
            total += float(torch.where(few.mask, kl, 0.0).sum())
            tokens = few.tokens[:, -few.columns :, None]
            for log_probs, into in ((own, taken.policy), (initial, taken.initial)):
                found = torch.where(few.mask, log_probs.gather(-1, tokens)[..., 0], 0.0)
                into[part.cpu().numpy(), : few.columns] = found.cpu().numpy()
        return total / len(rows), taken

    def _credit(
        self, implicit: ImplicitReward, rows: Responses, taken: Taken, ids: list[list[int]], texts: list[str]
    ) -> dict[str, float]:
        """Where in the responses the reward is that the policy implies, relative to the initial one."""
        # As the loss sums it, next to token by token.
        whole = implicit.policy * self._log_probs(rows).sum(1)
        with self._policy.under(self._initial):
            whole -= implicit.reference * self._log_probs(rows).sum(1)
        starts = [self._task.answer_start(text) for text in texts]
        answers = [
            None if start is None else answer_tokens(one, start, self._texts)
            for one, start in zip(ids, starts, strict=True)
        ]
        credit = implicit.policy * taken.policy - implicit.reference * taken.initial
        return credit_measures(credit, rows.lengths.cpu().numpy(), whole, answers)

    @torch.no_grad()
    def _log_probs(self, rows: Responses) -> Array:
        """[row, response column] float64; zero beyond a response."""
        found = np.zeros((len(rows), rows.columns))
        for part in torch.split(torch.arange(len(rows), device=rows.tokens.device), _ROWS):
            some = rows.select(part)
            log_probs = torch.where(some.mask, self._policy.evaluate(some, entropy=False).log_probs, 0.0)
            found[part.cpu().numpy(), : some.columns] = log_probs.cpu().numpy()
        return found

    def _probe_set(self) -> tuple[Responses, Array, Array]:
        """Responses of the initial policy to the first held-out prompts, their gold rewards, their log-probabilities.

        The same for all algorithms and seeds that share a starting policy.
        """
        prompts, copies = min(_PROBES[0], len(self._prompts)), _PROBES[1]
        noise = uniforms(stream("evaluation noise", 0), prompts * copies, self._task.horizon)
        with self._policy.under(self._initial):
            rows = self._policy.sample(self._prompts[:prompts], noise, copies=copies)
            log_probs = self._log_probs(rows).sum(1)
        examples = [example for example in self._task.held_out[:prompts] for _ in range(copies)]
        return rows, self._task.gold(examples, self._texts.decode(rows.texts())), log_probs

    def _alignment(self) -> float:
        """Kendall's tau-b between (log pi - log pi_initial) / length and the gold reward, over the probe set."""
        change = self._log_probs(self._probes).sum(1) - self._probe_log_probs
        return kendall_tau_b(change / self._probes.lengths.cpu().numpy(), self._probe_gold)

    def _pass_at_k(
        self, prompts: Sequence[list[int]], examples: Sequence[Example], seed: int, mark: int
    ) -> dict[str, float]:
        """pass@1 and pass@k of the policy as it is now and of the initial one, on the same prompts and draws."""
        if self._task.success_return is None:
            return {}
        found = self._passes(prompts, examples, seed, mark)
        with self._policy.under(self._initial):
            initial = self._passes(prompts, examples, seed, mark)
        return found | {f"initial_{name}": value for name, value in initial.items()}

    def _passes(
        self, prompts: Sequence[list[int]], examples: Sequence[Example], seed: int, mark: int
    ) -> dict[str, float]:
        noise = uniforms(stream("evaluation noise", seed, mark, PASS_K), len(prompts) * PASS_K, self._task.horizon)
        rows = self._policy.sample(prompts, noise, copies=PASS_K)
        repeated = [example for example in examples for _ in range(PASS_K)]
        gold = self._task.gold(repeated, self._texts.decode(rows.texts())).reshape(len(prompts), PASS_K)
        successes = (gold >= (self._task.success_return or 0.0) - 1e-6).sum(1)
        return {f"pass_at_{k}": float(np.mean([pass_at(k, PASS_K, int(c)) for c in successes])) for k in (1, PASS_K)}


def distinct(responses: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams of tokens as a fraction of all, over all responses (Li et al. 2016, arXiv 1510.03055).

    NaN where no response has n tokens.
    """
    grams = [tuple(one[i : i + n]) for one in responses for i in range(len(one) - n + 1)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def pass_at(k: int, n: int, c: int) -> float:
    """Unbiased estimate of the probability that one of k responses is right, from n of which c are.

    1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374).
    """
    return 1.0 - comb(n - c, k) / comb(n, k)
