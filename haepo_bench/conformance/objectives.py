"""What every loss must do, tried on random batches and on a small bandit."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from haepo_bench.conformance.batches import SEEDS, each_tensor, fresh, gradients, padded, random_batch, slopes
from haepo_bench.conformance.findings import Check, Fault, NotApplicable
from haepo_bench.objectives.base import Objective, TrajectoryBatch

_GARBAGE = (math.nan, math.inf, -math.inf, 1e38)
_NATS = (-1000.0, 50.0, 1000.0)
_CLOSE = 1e-9


def objective_checks(objective: Objective, name: str) -> Sequence[Check]:
    """The checks of a loss with its default hyper-parameters.

    Args:
        name: a Python expression for the objective, for reproductions.
    """
    return _Checks(objective, name).all()


class _Checks:
    def __init__(self, objective: Objective, name: str) -> None:
        self._objective, self._name = objective, name
        self._episodes = objective.collects == "episodes"
        #: Whether it gives one answer for one batch: else nothing is learnt by comparing two.
        self._pure = True

    def all(self) -> list[Check]:
        return [
            Check("one loss per seed, diagnostics without gradient", self.shapes),
            Check("leaves the batch as it is, and gives one answer", self.pure),
            Check("finite on ties, lone trajectories, long episodes", self.finite),
            Check("finite where policies are far apart", self.far_apart),
            Check("blind to what stands where no step was taken", self.blind),
            Check("blind to how many such steps there are", self.padding),
            Check("seeds apart", self.seeds),
            Check("groups apart", self.groups),
            Check("the order of trajectories does not matter", self.order),
            Check("gradient as finite differences have it", self.finite_differences),
            Check("the gradient reaches the policy", self.reaches),
            Check("the invariances that it claims", self.invariances),
        ]

    def shapes(self) -> None:
        batch, again = self._batch(1)
        output = self._objective(batch)
        if output.loss.shape != (SEEDS,):
            raise Fault(
                f"the loss of {SEEDS} seeds has the shape {tuple(output.loss.shape)}: reduce over groups, trajectories "
                "and steps, (-1, -2), and never over seeds",
                f"{again}\nprint({self._name}(batch).loss.shape)",
            )
        for name, value in output.diagnostics.items():
            if value.shape != (SEEDS,) or value.requires_grad:
                what = "carries a gradient: detach it" if value.requires_grad else f"has the shape {tuple(value.shape)}"
                raise Fault(f"the diagnostic '{name}' {what}", f"{again}\nprint({self._name}(batch).diagnostics)")

    def finite(self) -> None:
        cases: tuple[dict[str, Any], ...] = (
            {"equal": True}, {"trajectories": 1}, {"steps": 1}, {"steps": 2000, "spread": 8.0},
            {"equal": True, "dtype": torch.float32}, {"steps": 2000, "spread": 8.0, "dtype": torch.float32},
        )  # fmt: skip
        for number, case in enumerate(cases):
            batch, again = self._batch(number, **case)
            self._finite(batch, f"with {', '.join(f'{k} {v}' for k, v in case.items())}", again)

    def far_apart(self) -> None:
        for nats in _NATS:
            for behaviour, reference in ((nats, nats), (nats, 0.0), (0.0, nats)):
                batch, again = self._batch(6)
                highest = batch.log_probs.detach() - max(0.0, -behaviour, -reference)
                apart = replace(
                    batch,
                    log_probs=highest.requires_grad_(),
                    behaviour_log_probs=highest.detach() - behaviour,
                    reference_log_probs=highest.detach() - reference,
                )
                self._finite(apart, f"with log-ratios of {behaviour:g} (behaviour) and {reference:g} (reference)", (
                    f"{again}\nlog_probs = batch.log_probs.detach() - {max(0.0, -behaviour, -reference)}\n"
                    "batch = replace(batch, log_probs=log_probs.requires_grad_(), behaviour_log_probs="
                    f"log_probs.detach() - {behaviour}, reference_log_probs=log_probs.detach() - {reference})"
                ))  # fmt: skip

    def blind(self) -> None:
        batch, again = self._compared(2)
        if bool(batch.mask.all()):
            raise NotApplicable("segments have no steps that were not taken")
        before = self._outcome(batch)
        for garbage in _GARBAGE:
            spoilt = each_tensor(batch, lambda x: fresh(torch.where(batch.mask, x, garbage), x), steps=True)  # noqa: B023 (called at once)
            for name, value in self._outcome(spoilt).items():
                if not torch.equal(value, before[name]):
                    raise Fault(
                        f"{garbage} where `mask` is false changes {name}: sum with batch.masked_sum, and replace with "
                        "torch.where before exp",
                        f"{again}\nspoilt = each_tensor(batch, lambda x: fresh(torch.where(batch.mask, x, "
                        f"float('{garbage}')), x), steps=True)\n"
                        f"print({self._name}(batch).loss, {self._name}(spoilt).loss)",
                    )

    def padding(self) -> None:
        if not self._episodes:
            raise NotApplicable("segments have no steps that were not taken")
        batch, again = self._compared(10)
        longer = padded(batch)
        one, two = (gradients(self._objective, each)["log_probs"] for each in (batch, longer))
        same = _close(self._objective(batch).loss, self._objective(longer).loss)
        if not (same and _close(one, two[..., : one.shape[-1]])):
            raise Fault(
                "more steps that were not taken, at the end of every trajectory, change the loss or its gradient: "
                "divide by batch.lengths or by batch.horizon, and never by the size of the last axis",
                f"{again}\nprint({self._name}(batch).loss, {self._name}(padded(batch)).loss)",
            )

    def seeds(self) -> None:
        batch, again = self._compared(3)
        alone = each_tensor(batch, lambda x: fresh(x[1:], x))
        full, part = self._objective(batch).loss, self._objective(alone).loss
        problem = "" if _close(full[1:], part) else "a seed's loss changes with the other seeds of its batch"
        if not problem and full.requires_grad:
            found = torch.autograd.grad(full[1], batch.log_probs, allow_unused=True)[0]
            if found is not None and torch.count_nonzero(found[0]):
                problem = "the loss of one seed has a gradient for another seed's policy"
        if problem:
            raise Fault(
                f"{problem}: never reduce over the first axis",
                f"{again}\nalone = each_tensor(batch, lambda x: fresh(x[1:], x))\n"
                f"print({self._name}(batch).loss[1:], {self._name}(alone).loss)",
            )

    def groups(self) -> None:
        if not self._episodes:
            raise NotApplicable("segments have one group")
        if self._objective.mixes_groups:
            raise NotApplicable("it says that it brings the groups of a batch together (mixes_groups)")
        batch, again = self._compared(4)
        returns = torch.stack([batch.returns[:, 0], batch.returns[:, 1] * 2 - 1], 1)
        rewards = torch.stack([batch.rewards[:, 0], batch.rewards[:, 1] * 2 - 1], 1)
        other = replace(batch, returns=returns, rewards=rewards)
        one, two = (gradients(self._objective, each)["log_probs"] for each in (batch, other))
        if not _close(one[:, 0], two[:, 0]):
            raise Fault(
                "returns of one group change the gradient of another: compare within groups (the last axis of "
                "batch.returns), or set mixes_groups",
                f"{again}\nother = replace(batch, returns=torch.stack([batch.returns[:, 0], batch.returns[:, 1] * 2 "
                f"- 1], 1))\nprint(gradients({self._name}, batch)['log_probs'][:, 0], "
                f"gradients({self._name}, other)['log_probs'][:, 0])",
            )

    def order(self) -> None:
        if not self._episodes:
            raise NotApplicable("steps of segments come shuffled")
        batch, again = self._compared(5)
        order = torch.tensor([2, 0, 3, 1])
        other = each_tensor(batch, lambda x: fresh(x[:, :, order], x) if x.dim() > 2 and x.shape[2] == 4 else x)
        one, two = (gradients(self._objective, each)["log_probs"] for each in (batch, other))
        if not (_close(self._objective(batch).loss, self._objective(other).loss) and _close(one[:, :, order], two)):
            raise Fault(
                "another order of a group's trajectories is another loss or gradient",
                f"{again}\norder = torch.tensor([2, 0, 3, 1])\nother = each_tensor(batch, lambda x: fresh(x[:, :, "
                f"order], x) if x.dim() > 2 and x.shape[2] == 4 else x)\n"
                f"print({self._name}(batch).loss, {self._name}(other).loss)",
            )

    def pure(self) -> None:
        batch, again = self._batch(7)
        kept = each_tensor(batch, lambda x: x.detach().clone())
        first, second = self._outcome(batch), self._outcome(batch)
        for name, value in vars(kept).items():
            now = getattr(batch, name)
            if isinstance(value, Tensor) and not torch.equal(value.nan_to_num(7.0), now.detach().nan_to_num(7.0)):
                raise Fault(f"it changes batch.{name} in place", f"{again}\n{self._name}(batch)\nprint(batch.{name})")
        if any(not torch.equal(value, second[name]) for name, value in first.items()):
            self._pure = False
            raise Fault(
                "twice the same batch gives two answers: whatever is drawn must follow from the batch",
                f"{again}\nprint({self._name}(batch).loss, {self._name}(batch).loss)",
            )

    def finite_differences(self) -> None:
        if self._objective.surrogate:
            raise NotApplicable("it says that its gradient is not that of its value (surrogate)")
        batch, again = self._compared(1, steps=3, trajectories=3)
        for number in range(6):
            found, expected = slopes(self._objective, batch, number)
            if abs(found - expected) > 1e-5 * max(1.0, abs(expected)):
                raise Fault(
                    f"along direction {number} the gradient is {found:.6g}, and finite differences of the loss are "
                    f"{expected:.6g}: is something detached? Set surrogate = True where that is meant",
                    f"{again}\nprint(slopes({self._name}, batch, {number}))  # by the gradient, by finite differences",
                )

    def reaches(self) -> None:
        batch, again = self._batch(8)
        if not torch.count_nonzero(gradients(self._objective, batch)["log_probs"]):
            raise Fault(
                "the gradient to log_probs is zero: nothing would be learnt",
                f"{again}\nprint(gradients({self._name}, batch)['log_probs'])",
            )

    def invariances(self) -> None:
        if not self._objective.invariances:
            raise NotApplicable("it claims none (invariances)")
        batch, again = self._compared(9)
        changes = {"shift": (1.0, 3.0), "scale": (2.5, 0.0)}
        before = gradients(self._objective, batch)["log_probs"]
        for name in self._objective.invariances:
            factor, shift = changes[name]
            other = replace(batch, returns=batch.returns * factor + shift, rewards=batch.rewards * factor)
            after = gradients(self._objective, other)["log_probs"]
            if not torch.allclose(before, after, rtol=1e-5, atol=1e-7):
                raise Fault(
                    f"it claims that a {name} of returns changes nothing, and it changes the gradient",
                    f"{again}\nother = replace(batch, returns=batch.returns * {factor} + {shift})\n"
                    f"print(gradients({self._name}, batch)['log_probs'], gradients({self._name}, other)['log_probs'])",
                )

    def _compared(self, seed: int, **case: object) -> tuple[TrajectoryBatch, str]:
        """The same, where two answers are compared."""
        if not self._pure:
            raise NotApplicable("it gives two answers for one batch: see above")
        return self._batch(seed, **case)

    def _batch(self, seed: int, **case: object) -> tuple[TrajectoryBatch, str]:
        """A batch, and Python that makes it."""
        more = "".join(f", {key}={value!r}" for key, value in case.items())
        again = (
            "import torch\nfrom dataclasses import replace\n"
            "from haepo_bench.conformance.batches import each_tensor, fresh, gradients, padded, random_batch, slopes\n"
            f"batch = random_batch({self._name}, {seed}{more})"
        )
        return random_batch(self._objective, seed, **case), again  # type: ignore[arg-type]  # cases name its options

    def _outcome(self, batch: TrajectoryBatch) -> dict[str, Tensor]:
        output = self._objective(batch)
        found = gradients(self._objective, batch, output.loss)
        return (
            {"the loss": output.loss.detach()}
            | {f"the diagnostic '{name}'": value.detach() for name, value in output.diagnostics.items()}
            | {f"the gradient to {name}": value for name, value in found.items()}
        )

    def _finite(self, batch: TrajectoryBatch, case: str, again: str) -> None:
        for name, value in self._outcome(batch).items():
            if not bool(torch.isfinite(value).all()):
                raise Fault(f"{name} is not finite {case}", f"{again}\nprint({self._name}(batch).loss)")


def _close(one: Tensor, two: Tensor) -> bool:
    return torch.allclose(one, two, rtol=1e-7, atol=_CLOSE)
