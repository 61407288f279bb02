"""Drawing responses from a causal language model: batched, with a cache of keys and values that grows in place."""

import inspect
from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, DynamicLayer

from haepo_bench.policies.responses import Responses
from haepo_bench.policies.shapes import Array

#: Rows that have ended leave the batch once they are this fraction of it: copying the cache costs about one step.
_LEAVE_FRACTION = 0.25

#: Steps between looks at which rows have ended; on an accelerator each look waits for it.
_LOOK_EVERY = {"cpu": 1}
_LOOK_EVERY_ELSEWHERE = 8


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]  # of transformers, which is not followed
    """Keys and values of one layer in memory taken ahead, so that a step copies its own and nothing else.

    It overrides documented methods and reads what they are given, never the attributes of the class it extends: those
    change between releases of transformers.

    Args:
        room: steps after the prompts.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room, self._length = room, 0
        self._memory: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self._memory:  # the prompts
            self._memory = list(super().update(key_states, value_states, *args, **kwargs))
            return self._show(key_states.shape[2])
        end = self._length + key_states.shape[2]
        if end > self._memory[0].shape[2]:
            self._grow(1)
        for memory, new in zip(self._memory, (key_states, value_states), strict=True):
            memory[:, :, self._length : end] = new
        return self._show(end)

    def get_seq_length(self) -> int:
        return self._length

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._grow(repeats)
        self._show(self._length)

    def batch_select_indices(self, indices: Tensor) -> None:
        self._memory = [memory[indices] for memory in self._memory]
        self._show(self._length)

    def _grow(self, copies: int) -> None:
        """Takes memory for the steps to come, with so many copies of each row."""
        self._memory = [_with_room(memory[:, :, : self._length], copies, self._room) for memory in self._memory]

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        self._length = length
        self.keys, self.values = (memory[:, :, :length] for memory in self._memory)
        return self.keys, self.values


def _with_room(part: Tensor, copies: int, room: int) -> Tensor:
    rows, heads, length, width = part.shape
    memory = part.new_empty(rows * copies, heads, length + room, width)
    memory[:, :, :length] = part.repeat_interleave(copies, 0) if copies > 1 else part
    return memory


def forward_arguments(model: Any) -> Set[str]:
    """Names of the arguments that a model documents for its forward pass; of an adapted one, its base model's."""
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    return inspect.signature(base.forward).parameters.keys()


@torch.no_grad()  # not inference_mode: some models change buffers that a later gradient needs
def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    uniforms: Array,
    *,
    copies: int,
    pad: int,
    stops: Sequence[int],
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: Array | None = None,
    prefix_tokens: Array | None = None,
    device: str = "cpu",
) -> Responses:
    """Responses to prompts, each ending with its first stop token or at the most tokens allowed.

    A row's tokens depend on its prompt and its uniforms alone, up to the rounding of products in batches of other
    sizes: token t is the inverse distribution function at uniforms[row, t].

    Args:
        model: a Hugging Face causal language model.
        uniforms: [row, most tokens] float32 in [0, 1); rows are prompts x copies, the copies of a prompt together.
        copies: responses to each prompt.
        top_p: drawn from the likeliest tokens that hold this much probability together (nucleus sampling,
            arXiv 1904.09751).
        greedy: [row] bool, which rows take the likeliest token.
        prefix_tokens: [row, step] int64, tokens that stand instead of those drawn, -1 where none does; steps
            beyond its last are drawn.
    """
    rows, limit = uniforms.shape
    device_type = torch.device(device).type
    every = _LOOK_EVERY.get(device_type, _LOOK_EVERY_ELSEWHERE)
    unique = Responses.of(prompts, [[]] * len(prompts), pad).to(device)
    padding = unique.padding()
    arguments = forward_arguments(model)
    cache = _cache(model, limit)
    # Its name since transformers 5.24, and before.
    caching = {"cache" if "cache" in arguments else "past_key_values": cache, "use_cache": True}
    keep = {"logits_to_keep": 1} if "logits_to_keep" in arguments else {}
    logits = model(input_ids=unique.tokens, **caching, **keep, **padding).logits[:, -1].repeat_interleave(copies, 0)
    if copies > 1:
        cache.batch_repeat_interleave(copies)
    mask = padding.get("attention_mask")
    if mask is not None:
        ahead = mask.new_ones(len(mask), limit)
        mask = torch.cat([mask, ahead], 1).repeat_interleave(copies, 0)
    positions = unique.prompt_lengths.repeat_interleave(copies)[:, None]

    P = unique.prompt_columns
    drawn = torch.full((rows, limit), pad, device=device)
    lengths = torch.full((rows,), limit, device=device)
    stop_tokens = torch.tensor(list(stops), device=device)
    noise = torch.from_numpy(uniforms).to(device)
    greedy_rows = None if greedy is None else torch.from_numpy(greedy).to(device)
    given = None if prefix_tokens is None else torch.from_numpy(prefix_tokens).to(device)
    where: Tensor | None = None  # rows that are still in the batch; None: all
    ended = torch.zeros(rows, dtype=torch.bool, device=device)  # of those
    for t in range(limit):
        u, g = noise[:, t], greedy_rows
        if where is not None:
            u, g = u[where], None if g is None else g[where]
        tokens = choose(logits, u, temperature=temperature, top_p=top_p, greedy=g)
        if given is not None and t < given.shape[1]:
            instead = given[:, t] if where is None else given[where, t]
            tokens = torch.where(instead >= 0, instead, tokens)
        tokens = torch.where(ended, pad, tokens)
        stopped = torch.isin(tokens, stop_tokens) & ~ended
        if where is None:
            drawn[:, t] = tokens
            lengths[stopped] = t + 1
        else:
            drawn[where, t] = tokens
            lengths[where[stopped]] = t + 1
        ended = ended | stopped
        if t + 1 == limit:
            break
        if t % every == 0:
            live = int((~ended).sum())
            if live == 0:
                break
            if live <= (1 - _LEAVE_FRACTION) * len(ended):
                stay = (~ended).nonzero()[:, 0]
                where = stay if where is None else where[stay]
                cache.batch_select_indices(stay)
                tokens, ended, positions = tokens[stay], ended[stay], positions[stay]
                mask = None if mask is None else mask[stay]
        told = {} if mask is None else {"attention_mask": mask[:, : P + t + 1], "position_ids": positions + t}
        logits = model(input_ids=tokens[:, None], **caching, **told).logits[:, -1]
    T = int(lengths.max())
    prompt_tokens = unique.tokens.repeat_interleave(copies, 0)
    prompt_lengths = unique.prompt_lengths.repeat_interleave(copies)
    return Responses(torch.cat([prompt_tokens, drawn[:, :T]], 1), P, prompt_lengths, lengths, unique.padded)


def choose(
    logits: Tensor, uniforms: Tensor, *, temperature: float = 1.0, top_p: float = 1.0, greedy: Tensor | None = None
) -> Tensor:
    """Tokens [row] drawn from softmax(logits / temperature) [row, token], cut to the nucleus where top_p < 1.

    Args:
        uniforms: [row] in [0, 1).
        greedy: [row] bool, which rows take the likeliest token.
    """
    probabilities = torch.softmax(logits.float() / temperature, -1)
    if top_p < 1:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = torch.where(before < top_p, probabilities, 0.0)
        probabilities[:, 0] = torch.where(probabilities[:, 0] > 0, probabilities[:, 0], 1.0)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    # With uniforms of 24 bits the product is below the last entry, so what is found has probability.
    target = uniforms.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, target, right=True).clamp(max=logits.shape[-1] - 1)
    if top_p < 1:
        tokens = order.gather(-1, tokens)
    tokens = tokens[:, 0]
    return tokens if greedy is None else torch.where(greedy, logits.argmax(-1), tokens)


def uniforms(stream: np.random.Generator, rows: int, limit: int) -> Array:
    """What `sample` draws with: [row, step] float32 in [0, 1)."""
    return stream.random((rows, limit), dtype=np.float32)


def _cache(model: Any, room: int) -> DynamicCache:
    """An empty cache of the layers that the model needs; those of the plain kind take memory for `room` steps ahead."""
    cache = DynamicCache(config=model.config)
    cache.layers[:] = [_RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
