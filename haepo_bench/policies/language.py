"""A causal language model as a policy: tokens are actions, what stands before a token is its state.

The policy is softmax(logits / temperature) over the whole vocabulary, also where responses are drawn from its nucleus
(top_p < 1): log-probabilities, entropy and KL are always of that distribution.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import forward_arguments, sample
from haepo_bench.policies.shapes import Array


class Evaluated(NamedTuple):
    """What the policy says of responses, [row, response column] float32; what stands beyond a response may be anything.

    Args:
        log_probs: of the taken tokens.
        entropy: of the distribution that each was taken from, nats; None where not asked for.
        values: V(state before the token); None where there is no value head.
        tempered: log-probabilities of the taken tokens at each temperature asked for, detached.
    """

    log_probs: Tensor
    entropy: Tensor | None
    values: Tensor | None
    tempered: tuple[Tensor, ...] = ()


class LanguagePolicy:
    """A Hugging Face causal language model with all its trained parameters in one flat tensor.

    Args:
        model: on its device, in its dtype, without dropout: with it ratios to the behaviour policy would not start
            at 1.
        pad: a token to fill up rows with.
        stops: tokens that end a response.
        gradient_checkpointing: forget what layers computed and compute it again for the gradient.
        value_head: whether a linear value head, zero at first, stands on the last hidden state.

    Attributes:
        parameters: [1, parameter] float32, the trained ones; after changing it call `publish`.
        gradient: [1, parameter] float32, where `backward` adds up.
    """

    def __init__(
        self,
        model: Any,
        *,
        pad: int,
        stops: Sequence[int],
        temperature: float = 1.0,
        top_p: float = 1.0,
        gradient_checkpointing: bool = False,
        value_head: bool = False,
    ) -> None:
        self.model, self.pad, self.stops = model, pad, tuple(stops)
        self.temperature, self.top_p = temperature, top_p
        self._adapted = hasattr(model, "peft_config")
        base = model.get_base_model() if self._adapted else model
        self._keeps_logits = "logits_to_keep" in forward_arguments(model)
        first = next(base.parameters())
        self.device, self.dtype = first.device.type, first.dtype
        self._value_head = nn.Linear(base.config.get_text_config().hidden_size, 1, device=first.device)
        nn.init.zeros_(self._value_head.weight)
        nn.init.zeros_(self._value_head.bias)
        self.has_values = value_head
        self._checkpointing = gradient_checkpointing
        if gradient_checkpointing:
            _checkpoint_gradients(base)
        model.eval()
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if value_head:
            named += [(f"value_head.{name}", p) for name, p in self._value_head.named_parameters()]
        self._names, self._trained = [name for name, _ in named], [p for _, p in named]
        self._sizes = [p.numel() for p in self._trained]
        self.parameters = torch.cat([p.detach().reshape(-1).float() for p in self._trained])[None]
        self.gradient = torch.zeros_like(self.parameters)
        self._point_at(self.parameters)
        for p, part in zip(self._trained, torch.split(self.gradient[0], self._sizes), strict=True):
            if p.dtype == torch.float32:
                p.grad = part.view_as(p)  # autograd adds into it in place
            else:
                p.register_post_accumulate_grad_hook(_adding_to(part))

    def publish(self) -> None:
        """Shows the model the parameters as they are now; needed where it holds them in another dtype."""
        self._point_at(self.parameters)

    def snapshot(self) -> Tensor:
        """A copy of the trained parameters, for `under`."""
        return self.parameters.clone()

    @contextlib.contextmanager
    def under(self, parameters: Tensor | None) -> Iterator[None]:
        """The policy with other parameters, for reading only; None: as it was before any adapter was trained."""
        if parameters is None:
            with self.model.disable_adapter():
                yield
            return
        self._point_at(parameters)
        try:
            yield
        finally:
            self._point_at(self.parameters)

    @property
    def adapted(self) -> bool:
        """Whether an adapter is trained (LoRA), so that the model without it is the initial policy."""
        return self._adapted

    def named(self) -> dict[str, Array]:
        """The trained parameters as named arrays."""
        parts = zip(self._names, self._trained, strict=True)
        return {name: p.detach().float().cpu().numpy() for name, p in parts}

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        uniforms: Array,
        *,
        copies: int = 1,
        greedy: Array | None = None,
        prefix_tokens: Array | None = None,
    ) -> Responses:
        """Responses to prompts; arguments as of `sampling.sample`."""
        return sample(
            self.model,
            prompts,
            uniforms,
            copies=copies,
            pad=self.pad,
            stops=self.stops,
            temperature=self.temperature,
            top_p=self.top_p,
            greedy=greedy,
            prefix_tokens=prefix_tokens,
            device=self.device,
        )

    def evaluate(self, responses: Responses, *, entropy: bool = True, temperatures: Sequence[float] = ()) -> Evaluated:
        """Log-probabilities, entropy and values of responses in one forward pass, with the graph where grad is on.

        Args:
            temperatures: at which log-probabilities are wanted, too; they divide what the policy's own has divided.
        """
        taken = responses.tokens[:, -responses.columns :, None]
        logits, hidden = self._forward(responses)
        normaliser = logits.logsumexp(-1)
        log_probs = logits.gather(-1, taken)[..., 0] - normaliser
        h = None
        if entropy:
            h = normaliser - (torch.exp(logits - normaliser[..., None]) * logits).sum(-1)
        values = None if hidden is None else self._value_head(hidden)[..., 0]
        tempered = []
        for temperature in temperatures:
            scaled = logits.detach() / temperature
            tempered.append(scaled.gather(-1, taken)[..., 0] - scaled.logsumexp(-1))
        return Evaluated(log_probs, h, values, tuple(tempered))

    @torch.no_grad()
    def distributions(self, responses: Responses) -> Tensor:
        """log pi(.|state) of every token at each place of responses, [row, response column, token] float32."""
        return torch.log_softmax(self._forward(responses)[0], -1)

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        return int(self.model.config.get_text_config().vocab_size)

    def _forward(self, responses: Responses) -> tuple[Tensor, Tensor | None]:
        """Logits [row, response column, token], and the hidden state there that a value head reads; float32."""
        inputs = {name: value[:, :-1] for name, value in responses.padding().items()}
        T = responses.columns
        keep: dict[str, Any] = {"logits_to_keep": T} if self._keeps_logits else {}
        if self.has_values:
            keep["output_hidden_states"] = True
        # Models checkpoint only in training mode, in which these do nothing else: they have no dropout.
        self.model.train(self._checkpointing and torch.is_grad_enabled())
        output = self.model(input_ids=responses.tokens[:, :-1], use_cache=False, **inputs, **keep)
        self.model.eval()
        logits = output.logits[:, -T:].float()
        hidden = output.hidden_states[-1][:, -T:].float() if self.has_values else None
        return logits / self.temperature if self.temperature != 1 else logits, hidden

    def _point_at(self, parameters: Tensor) -> None:
        """Makes the model's parameters views of a flat tensor, or copies where they are of another dtype.

        Never in place: a graph that is kept meanwhile still holds what was there before.
        """
        for p, part in zip(self._trained, torch.split(parameters[0], self._sizes), strict=True):
            p.data = part.view_as(p).to(p.dtype)


def _adding_to(part: Tensor) -> Any:
    def add(p: Tensor) -> None:
        if p.grad is not None:
            part.add_(p.grad.reshape(-1).float())
            p.grad = None

    return add


def _checkpoint_gradients(model: Any) -> None:
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable()
    else:  # transformers before it gave this another name
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # Without it frozen layers below an adapter would not be passed through.
    model.enable_input_require_grads()
