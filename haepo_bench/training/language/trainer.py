"""Training one objective on one language task for one seed at a time."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.tasks.lm.hub import quiet_transformers
from haepo_bench.training.adam import Adam, clip_long_gradient
from haepo_bench.training.diagnostics import wanted_at
from haepo_bench.training.episodes.prefixes import PrefixPolicies
from haepo_bench.training.flips import flips
from haepo_bench.training.language.batches import Batch, Batches, PreferenceBatch, Reviser, Sampled
from haepo_bench.training.language.branching import ResponseBrancher
from haepo_bench.training.language.evaluation import LanguageEvaluator
from haepo_bench.training.language.models import ModelSource
from haepo_bench.training.language.packed_responses import GeneralisedAdvantages, PackedResponses
from haepo_bench.training.language.reference import ReferenceReturns
from haepo_bench.training.language.rephrasing import ResponseRephraser
from haepo_bench.training.language.settings import LanguageSegmentSettings, LanguageSettings
from haepo_bench.training.language.start import starting_model
from haepo_bench.training.language.texts import Texts
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import Checkpoint, State
from haepo_bench.training.streams import hashed_seed, stream


class LanguageTrainer:
    """One run: collect, evaluate, update, until the budget of tokens is reached or a number is not finite.

    Args:
        offline: learn from the task's fixed preferences instead of sampled responses.
    """

    def __init__(
        self,
        task: LanguageTask,
        objective: Objective,
        settings: LanguageSettings,
        source: ModelSource,
        texts: Texts,
        seed: int,
        recorder: Recorder,
        device: str,
        *,
        offline: bool = False,
    ) -> None:
        self.task, self.objective, self.settings, self.seed, self.offline = task, objective, settings, seed, offline
        self.recorder = recorder
        model = starting_model(task, source, texts, settings, device)
        if settings.lora_rank is not None:
            model = adapted(model, settings.lora_rank, settings.lora_alpha, seed)
        self.policy = policy = LanguagePolicy(
            model,
            pad=texts.pad,
            stops=texts.stops,
            temperature=settings.sampling_temperature,
            top_p=settings.top_p,
            gradient_checkpointing=settings.gradient_checkpointing,
            value_head=isinstance(settings, LanguageSegmentSettings),
        )
        #: Parameters of the policy before training; None where that is the model without its adapter.
        self.initial = None if policy.adapted else policy.snapshot()
        #: Of the reference policy, where that is renewed every so many iterations.
        self.renewed: Tensor | None = None
        self.optimiser = Adam(policy.parameters, settings.learning_rate)
        training = task.training()
        self.batches: Batches
        #: An expert's responses to prompts, and returns of the reference policy, where the objective asks for them.
        self.expert: Callable[[Sequence[int]], Responses] | None = None
        self.reference_returns: ReferenceReturns | None = None
        #: Answers greedily, where the objective asks for the returns of that; those of the current iteration.
        self.greedy: Sampled | None = None
        self.greedy_returns: Array | None = None
        #: What puts other responses in the places of some, where the objective asks for that.
        self.reviser: Reviser | None = None
        self.prefix_policies = None if objective.prefixes is None else PrefixPolicies(objective.prefixes)
        if offline:
            self.batches = PreferenceBatch(task, policy, texts, settings)
        else:
            self.batches = sampled = Sampled(training, policy, texts, settings, self.prefix_policies)  # type: ignore[arg-type]
            self.reviser = self._reviser(sampled, training, texts)  # type: ignore[arg-type]
            if objective.wants_expert and objective.rephrasing is None:
                self.expert = sampled.expert
            self.greedy = sampled if objective.wants_greedy else None
            if objective.reference_sample and settings.reference != "previous":
                self.reference_returns = ReferenceReturns(sampled, objective.reference_sample)
        self.evaluator = LanguageEvaluator(
            task, policy, texts, recorder.episodes, self.initial, objective.implicit_reward
        )
        self.iteration = self.tokens = 0

    def train(self) -> None:
        """Runs to the end, from where it stands."""
        self.recorder.begin([self.seed])
        while self.seed in self.recorder.live:
            started = time.perf_counter()
            self._renew()
            batch = self.batches.batch(self.seed, self.iteration)
            self._report(batch.tokens, len(batch.responses), batch.columns)
            if self.reviser is not None:
                revision = self.reviser.revise(batch, self.seed, self.iteration)
                self._report(revision.tokens, revision.responses, revision.columns)
                batch = revision.batch
            if self.greedy is not None:
                self.greedy_returns = self._answer_greedily(self.greedy, batch.prompts)
            if self.reference_returns is not None:
                with self.policy.under(self._frozen()):
                    cost = self.reference_returns.collect(batch.prompts, self.seed, self.iteration)
                self._report(cost.tokens, cost.responses, {})  # columns speak of the policy that is trained
            seconds = time.perf_counter() - started
            self._evaluate()
            if self.seed in self.recorder.live:
                self.update(batch, seconds)
            self.recorder.progress()
            self.iteration += 1
            if self.seed in self.recorder.live and self.recorder.checkpoint_due():
                self.recorder.checkpoint([self.seed], self._packed)

    def update(self, batch: Batch, sampling_seconds: float = 0.0) -> None:
        """All gradient steps on one batch, and what the recorder gets of them.

        Args:
            sampling_seconds: that the batch took.
        """
        started = time.perf_counter()
        settings, remaining = self.settings, max(0.0, 1 - self.tokens / self.recorder.budget)
        objective = self.objective.at(remaining)
        advantages = None
        if isinstance(settings, LanguageSegmentSettings):
            advantages = GeneralisedAdvantages(settings.gamma, settings.gae_lambda)
        packed = PackedResponses(
            self.policy,
            batch.responses,
            batch.returns,
            groups=batch.groups,
            horizon=self.task.horizon,
            reference=self._reference(),
            objective=objective,
            reference_returns=None if self.reference_returns is None else self.reference_returns.of(batch.prompts),
            expert=None if self.expert is None else self.expert(batch.prompts),
            prefixes=batch.prefixes,
            greedy_returns=self.greedy_returns,
            flipped=self._flipped(batch),
            micro_batch=settings.micro_batch,
            advantages=advantages,
        )
        seen: list[dict[str, Tensor]] = []
        for epoch in range(settings.epochs):
            diagnostics = packed.gradient(objective, wanted_at(epoch, settings.epochs))
            diagnostics["gradient_norm"] = clip_long_gradient(self.policy.gradient, settings.max_gradient_norm)
            self.optimiser.step(self.policy.gradient)
            self.policy.publish()
            seen.append(diagnostics)
        # Smallest and largest in one pass: `isfinite` of a large model takes as long as its update.
        ends = torch.stack([*torch.aminmax(self.policy.parameters), seen[-1]["loss"][0]])
        finite = bool(torch.isfinite(ends).all())
        names = seen[0] | seen[-1]
        columns = {name: torch.stack([one[name] for one in seen if name in one])[:, 0].tolist() for name in names}
        means = {name: sum(values) / len(values) for name, values in columns.items()}
        means["seconds_per_step"] = (sampling_seconds + time.perf_counter() - started) / settings.epochs
        if finite:
            self.recorder.updated(self.seed, settings.epochs, means)
        else:
            self.recorder.diverged(self.seed, "the loss or a parameter is not finite")

    def _reviser(self, sampled: Sampled, task: LanguageTask, texts: Texts) -> Reviser | None:
        """What the objective's plans ask for."""
        if self.objective.branching is not None:
            return ResponseBrancher(self.objective.branching, sampled, self.policy, self.settings.micro_batch)
        if self.objective.rephrasing is not None:
            return ResponseRephraser(self.objective.rephrasing, task, sampled, texts)
        return None

    def _answer_greedily(self, sampled: Sampled, prompts: Sequence[int]) -> Array:
        """Returns [prompt] of the likeliest response to each prompt, whose tokens count as all others do."""
        found = sampled.answers(
            prompts,
            1,
            noise=stream("greedy noise", self.seed, self.iteration),
            reward=stream("greedy reward", self.seed, self.iteration),
            greedy=True,
        )
        self._report(sum(map(len, found.ids)), len(found.ids), {})  # columns speak of sampled responses
        return found.returns

    def _flipped(self, batch: Batch) -> Array | None:
        """Which pairs of the batch are reported reversed; None for none, and offline, once for all."""
        if not self.task.flip or self.offline:
            return None
        trajectories = len(batch.responses) // batch.groups
        return flips(self.task.flip, stream("flip", self.seed, self.iteration), batch.groups, trajectories)

    def _report(self, tokens: int, responses: int, columns: Mapping[str, float]) -> None:
        """Tells the recorder what was sampled."""
        self.tokens += tokens
        self.recorder.collected(self.seed, tokens, responses, columns)

    def _renew(self) -> None:
        """Makes the policy of this iteration the reference, where it is to become that."""
        every = self.settings.reference
        if isinstance(every, int) and self.iteration % every == 0:
            self.renewed = self.policy.snapshot()
            if self.reference_returns is not None:
                self.reference_returns.forget()

    def _reference(self) -> Tensor | str | None:
        return "previous" if self.settings.reference == "previous" else self._frozen()

    def _frozen(self) -> Tensor | None:
        """Parameters of a reference policy that is not the current one, as `LanguagePolicy.under` takes them."""
        return self.initial if self.settings.reference == "initial" else self.renewed

    def _evaluate(self) -> None:
        for seed, mark in self.recorder.due():
            if seed != self.seed:
                continue
            last = self.recorder.ending(seed)
            with self.recorder.evaluating([seed]):
                evaluation = self.evaluator.evaluate(seed, mark, last=last)
            if last and self.recorder.wants_policies:
                self.recorder.policy(seed, self.policy.named())
            self.recorder.evaluated(seed, evaluation)

    def _packed(self, seed: int) -> bytes:
        """All that the next iteration follows from; streams follow from their keys."""
        state = {
            "tokens": self.tokens,
            "parameters": self.policy.parameters,
            "optimiser": self.optimiser.state(),
            "renewed": self.renewed,
            "reference_returns": None if self.reference_returns is None else self.reference_returns.state(),
            "prefix_policies": None if self.prefix_policies is None else self.prefix_policies.state(),
        }
        return Checkpoint(self.iteration, state, self.recorder.state(seed)).packed()

    def resume(self, states: Sequence[State]) -> None:
        """Goes on from the state of its one seed; raises anything where it is not such."""
        (state,) = states
        self.tokens, self.renewed = int(state["tokens"]), state["renewed"]
        self.policy.parameters.copy_(state["parameters"])
        self.policy.publish()
        self.optimiser.restore(state["optimiser"])
        if self.reference_returns is not None:
            self.reference_returns.restore(state["reference_returns"])
        if self.prefix_policies is not None:
            self.prefix_policies.restore(state["prefix_policies"])

    def close(self) -> None:
        """Nothing is held."""


def adapted(model: Any, rank: int, alpha: int, seed: int) -> Any:
    """The model with trained low-rank adapters on its linear layers; its own parameters are frozen."""
    quiet_transformers()
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # What peft still calls by its old name is none of the user's business.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(hashed_seed("initialisation", seed))
        return get_peft_model(model, config)
