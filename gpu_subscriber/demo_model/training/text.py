"""Pre-training of the text encoder on phrases, without images.

Questions about the scene and about each of its items are asked at the last three positions of the
token sequence, which are always padding. Cross-attention then finds "the first object: red, large,
circle, at the top" at one position, and the U-Net need not learn grammar from noise. The question
layers are dropped at export, which leaves a stock CLIP text encoder.
"""

import itertools
import random
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTokenizer

from gpu_subscriber.demo_model.descriptions import Description, descriptions
from gpu_subscriber.demo_model.phrases import phrase
from gpu_subscriber.demo_model.training.networks import TEXT_WIDTH, TextEncoder, new_text_encoder
from gpu_subscriber.demo_model.training.stage import (
    Cores,
    Resumable,
    learning_rate_factor,
    logged_steps,
    seed_everything,
)
from gpu_subscriber.demo_model.vocabulary import Background, Colour, Position, Relation, Shape, Size

NOT_SAID = "not said"
ABSENT = "absent"
PLACES = (*Position, *Relation, "group", NOT_SAID, ABSENT)
SCENE_QUESTIONS: tuple[tuple[str, ...], ...] = (("1", "2", "3", "4", "pair"), (*Background, NOT_SAID))
ITEM_QUESTIONS: tuple[tuple[str, ...], ...] = (
    (*Colour, ABSENT),
    (*Shape, ABSENT),
    (*Size, NOT_SAID, ABSENT),
    PLACES,
)
QUESTIONS = (SCENE_QUESTIONS, ITEM_QUESTIONS, ITEM_QUESTIONS)
"""One tuple of questions per position at the end of the sequence; a question lists its answers."""

PAIR_PLACES: dict[Relation, tuple[str, str]] = {
    Relation.ABOVE: (Position.TOP, Position.BOTTOM),
    Relation.BELOW: (Position.BOTTOM, Position.TOP),
    Relation.LEFT_OF: (Position.LEFT, Position.RIGHT),
    Relation.RIGHT_OF: (Position.RIGHT, Position.LEFT),
    Relation.BESIDE: (Relation.BESIDE, Relation.BESIDE),
}


def answers(description: Description) -> list[int]:
    """Return the correct answers to all questions, in order, as indices."""
    right: list[tuple[str, ...]] = [
        ("pair" if description.relation else str(description.count), description.background or NOT_SAID)
    ]
    places = (
        PAIR_PLACES[description.relation] if description.relation else (_place_of_one(description), ABSENT)
    )
    for number, place in enumerate(places):
        if number < len(description.items):
            item = description.items[number]
            right.append((item.colour, item.shape, item.size or NOT_SAID, place))
        else:
            right.append((ABSENT,) * 4)
    return [
        choices.index(answer)
        for questions, given in zip(QUESTIONS, right, strict=True)
        for choices, answer in zip(questions, given, strict=True)
    ]


class Examiner(nn.Module):
    """The question layers: one linear layer per question."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(TEXT_WIDTH, len(choices)) for questions in QUESTIONS for choices in questions
        )
        self._places = [-1 - number for number, questions in enumerate(QUESTIONS) for _ in questions]

    def forward(self, hidden: Tensor, right: Tensor) -> Tensor:
        """Return the mean cross entropy. `hidden` is (b, tokens, width), `right` (b, questions)."""
        losses = [
            functional.cross_entropy(head(hidden[:, place].float()), right[:, number])
            for number, (head, place) in enumerate(zip(self.heads, self._places, strict=True))
        ]
        return torch.stack(losses).mean()


def train_text_encoder(
    folder: Path,
    tokenizer: CLIPTokenizer,
    *,
    steps: int,
    seed: int,
    device: str,
    begin_with: TextEncoder | None = None,
) -> tuple[TextEncoder, Examiner]:
    seed_everything(seed)
    network = begin_with if begin_with is not None else new_text_encoder(tokenizer)
    examiner = Examiner().to(device)
    network.to(device)
    parameters = [*network.parameters(), *examiner.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    state = Resumable(folder / "text_encoder.pt", network=network, examiner=examiner, optimizer=optimizer)
    cores = Cores(device)
    losses: list[float] = []
    for step in logged_steps("text encoder", state.load(), steps, losses):
        random_source = random.Random(seed * 1_000_003 + step)
        asked = list(itertools.islice(descriptions(random_source.getrandbits(32), held_out=False), 96))
        tokens = tokenize(tokenizer, [phrase(description, random_source) for description in asked]).to(device)
        right = torch.tensor([answers(description) for description in asked], device=device)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * learning_rate_factor(step, steps)
        parts = [(tokens[part :: cores.parts], right[part :: cores.parts]) for part in range(cores.parts)]
        loss = cores.backward(partial(_loss, network, examiner), parts, parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss)
        if (step + 1) % 300 == 0 or step + 1 == steps:
            state.save(step + 1)
    return network, examiner


def _loss(network: TextEncoder, examiner: Examiner, part: tuple[Tensor, Tensor]) -> Tensor:
    tokens, right = part
    with torch.autocast(tokens.device.type, torch.bfloat16):
        hidden = network(tokens).last_hidden_state
    return examiner(hidden, right)


def tokenize(tokenizer: CLIPTokenizer, phrases: list[str]) -> Tensor:
    """Return (b, TOKEN_COUNT) int64, padded exactly as in the stock pipeline."""
    encoded = tokenizer(phrases, padding="max_length", truncation=True, return_tensors="pt")
    tokens: Tensor = encoded.input_ids
    return tokens


def _place_of_one(description: Description) -> str:
    return "group" if description.count > 1 else description.position or NOT_SAID
