"""The parts of the training script that can go wrong silently. Nothing is trained here."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gpu_subscriber.demo_model.descriptions import descriptions
from gpu_subscriber.demo_model.phrases import phrase
from gpu_subscriber.demo_model.scenes import Scene, SceneObject
from gpu_subscriber.demo_model.training.fast_layers import quicken
from gpu_subscriber.demo_model.training.stage import Cores, learning_rate_factor
from gpu_subscriber.demo_model.training.taught_latents import COLOUR_SCALE, SHAPE_LEVELS, taught_latents
from gpu_subscriber.demo_model.training.text import QUESTIONS, answers, tokenize
from gpu_subscriber.demo_model.training.tokenizer import new_tokenizer
from gpu_subscriber.demo_model.vocabulary import Background, Colour, Shape


def test_fast_group_norm_equals_the_stock_one() -> None:
    torch.manual_seed(0)
    stock = nn.GroupNorm(4, 16)
    nn.init.normal_(stock.weight)
    quick = nn.Sequential(nn.GroupNorm(4, 16))
    quick[0].load_state_dict(stock.state_dict())
    quicken(quick)
    picture = torch.randn(3, 16, 5, 7, requires_grad=True)
    towards = torch.randn(3, 16, 5, 7)

    expected = torch.autograd.grad(stock(picture), [picture, *stock.parameters()], towards)
    actual = torch.autograd.grad(quick(picture), [picture, *quick.parameters()], towards)

    assert torch.equal(stock(picture), quick(picture))
    for one, other in zip(expected, actual, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, batch = nn.Linear(3, 2), torch.randn(8, 3)
    found = []
    for count in (1, 2, 4):
        monkeypatch.setattr(Cores, "count", count)
        parts = [batch[part::count] for part in range(count)]
        Cores("cpu").backward(lambda part: layer(part).square().mean(), parts, list(layer.parameters()))
        assert layer.weight.grad is not None
        found.append(layer.weight.grad.clone())

    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_taught_latents_contain_background_colours_and_shapes() -> None:
    scene = Scene(
        background=Background.BLACK,
        objects=(SceneObject(shape=Shape.STAR, colour=Colour.RED, x=0.25, y=0.5, diameter=0.4),),
    )
    latents = taught_latents(scene, 256)

    assert latents.shape == (4, 32, 32)
    assert latents[3, 16, 8] == pytest.approx(SHAPE_LEVELS[Shape.STAR])
    assert latents[3, 16, 24] == 0
    assert latents[:3, 16, 24] == pytest.approx(np.full(3, -COLOUR_SCALE))
    assert latents[0, 16, 8] > 0 > latents[1, 16, 8]


def test_every_description_answers_every_question() -> None:
    choices = [choices for questions in QUESTIONS for choices in questions]
    for asked in itertools.islice(descriptions(3, held_out=False), 500):
        right = answers(asked)
        assert len(right) == len(choices)
        assert all(0 <= number < len(options) for number, options in zip(right, choices, strict=True))


def test_end_of_each_sequence_is_padding(tmp_path: Path) -> None:
    tokenizer = new_tokenizer(tmp_path)
    random_source = random.Random(4)
    phrases = [
        phrase(asked, random_source) for asked in itertools.islice(descriptions(5, held_out=False), 500)
    ]
    tokens = tokenize(tokenizer, phrases)

    # One more than the questions need: the end of the phrase itself.
    assert (tokens[:, -1 - len(QUESTIONS) :] == tokenizer.pad_token_id).all()


def test_learning_rate_rises_stays_and_falls() -> None:
    factors = [learning_rate_factor(step, 1000) for step in range(1000)]

    assert factors[0] < 0.01
    assert factors[200] == factors[500] == 1.0
    assert factors[-1] < 0.01
