"""Preference data and reward models, made for tests."""

import json
from pathlib import Path
from typing import Any

import torch

WORDS = [f"w{i}" for i in range(20)]


ROWS = [{"prompt": f"w{i} ", "chosen": f"w{i} w1", "rejected": "w2", "source": "made"} for i in range(20)]


def write_lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def save_reward_model(folder: Path, *, labels: int = 1, seed: int = 0, pad: bool = True, template: str = "") -> str:
    """A random classifier over `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2ForSequenceClassification, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", "_", *WORDS])}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", **({"pad_token": "_"} if pad else {}))
    if template:
        tokenizer.chat_template = template
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=len(WORDS) + 2, n_positions=32, n_embd=16, n_layer=1, n_head=2, num_labels=labels,
            pad_token_id=1 if pad else None, bos_token_id=None, eos_token_id=None, initializer_range=0.5,
        )  # fmt: skip
        GPT2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
