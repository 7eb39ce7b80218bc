"""A CLIP tokenizer of its own: all bytes, and one token per word of the phrases."""

import itertools
import json
from pathlib import Path

from transformers import CLIPTokenizer

from gpu_subscriber.demo_model.phrases import every_word
from gpu_subscriber.demo_model.training.networks import TOKEN_COUNT

END_OF_WORD = "</w>"


def new_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write vocab.json and merges.txt into `folder`. Unknown words are split into bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges(sorted(every_word()))
    letters = [*_byte_letters(), *(f"{letter}{END_OF_WORD}" for letter in _byte_letters())]
    tokens = [*letters, *("".join(merge) for merge in merges), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=TOKEN_COUNT
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def _byte_letters() -> list[str]:
    """Return the 256 printable letters that byte-level BPE uses for the 256 bytes (GPT-2's table)."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Return byte-pair merges, the most frequent pair first, until every word is a single token."""
    spelled = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in spelled):
        pairs = [pair for word in spelled for pair in itertools.pairwise(word)]
        best = max(sorted(set(pairs)), key=pairs.count)
        merges.append(best)
        spelled = [_merged(word, best) for word in spelled]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for letter in word:
        if merged and (merged[-1], letter) == pair:
            merged[-1] += letter
        else:
            merged.append(letter)
    return merged
