"""The built-in tiny language model: a Llama of two layers over a few tokens, an ordinary Hugging Face model."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

PAD, START, STOP = "<pad>", "<start>", "<stop>"

#: Tokens that fit in its context.
CONTEXT = 2048


def tiny_tokenizer(vocabulary: Sequence[str]) -> Any:
    """Cuts texts, from the left, into the longest of `vocabulary` that fit; prompts begin with the start token."""
    # Here and below imported where needed: a suite is checked without.
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {token: number for number, token in enumerate([PAD, START, STOP, *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(rf"{longest_first(vocabulary)}|[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, numbers[START])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, bos_token=START, eos_token=STOP)


def longest_first(vocabulary: Iterable[str]) -> str:
    """The regular expression that cuts a text into the longest tokens that fit."""
    return "|".join(re.escape(token) for token in sorted(vocabulary, key=len, reverse=True))


def tiny_model(vocabulary: Sequence[str], width: int = 128) -> Any:
    """Two layers, 4 heads; initial weights from a seed of its own, the same for all runs.

    Args:
        width: of the hidden state, a multiple of 8; 128 make 0.4 million parameters, 208 about 1.1.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(vocabulary) + 3,
        hidden_size=width,
        intermediate_size=-(-width * 8 // 48) * 16,  # 8/3 of the width, as in Llama, in whole vectors
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config)
