"""Truncation against transformers' warpers, and draws against their distribution."""

import numpy as np
import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from lmcore.errors import InputError
from lmcore.generating.sampling import (
    Decoding,
    check_decoding,
    draw,
    entropy,
    random_numbers,
    truncated,
)

LOGITS = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize(
    ("decoding", "warpers"),
    [
        (Decoding(0.7), [TemperatureLogitsWarper(0.7)]),
        (Decoding(1.0, top_k=5), [TopKLogitsWarper(5)]),
        (Decoding(1.0, top_p=0.8), [TopPLogitsWarper(0.8)]),
        (Decoding(1.0, min_p=0.1), [MinPLogitsWarper(0.1)]),
        (Decoding(1.0, typical_p=0.7), [TypicalLogitsWarper(0.7)]),
        (
            Decoding(0.8, top_k=20, typical_p=0.3),
            [TemperatureLogitsWarper(0.8), TopKLogitsWarper(20), TypicalLogitsWarper(0.3)],
        ),
        (
            Decoding(1.3, 20, 0.9, 0.05),
            [
                TemperatureLogitsWarper(1.3),
                TopKLogitsWarper(20),
                TopPLogitsWarper(0.9),
                MinPLogitsWarper(0.05),
            ],
        ),
    ],
)
def test_truncation_is_that_of_transformers(decoding: Decoding, warpers: list) -> None:
    expected = LOGITS
    for warper in warpers:
        expected = warper(None, expected)
    torch.testing.assert_close(truncated(LOGITS, decoding), expected.log_softmax(1))


def test_greedy_is_the_first_of_the_most_probable() -> None:
    cut = truncated(torch.tensor([[1.0, 3, 3]]), Decoding())
    assert cut.exp().tolist() == [[0, 1, 0]] and entropy(cut).tolist() == [0.0]


def test_entropy_of_three_tokens_by_hand() -> None:
    logprobs = torch.log(torch.tensor([[0.5, 0.25, 0.25], [1.0, 0, 0], [0.5, 0.5, 0]]))
    assert entropy(logprobs).tolist() == pytest.approx([1.5 * np.log(2), 0, np.log(2)])


def test_draws_fall_as_often_as_the_distribution_says_and_never_on_what_is_cut() -> None:
    logprobs = torch.log(torch.tensor([[0.0, 0.2, 0.0, 0.5, 0.3, 0.0]])).expand(20_000, 6)
    drawn = draw(logprobs, np.random.default_rng(0).random(20_000))
    shares = np.bincount(drawn, minlength=6) / 20_000
    np.testing.assert_allclose(shares, [0, 0.2, 0, 0.5, 0.3, 0], atol=0.015)
    assert shares[[0, 2, 5]].sum() == 0
    assert draw(logprobs[:2], np.array([0.0, 1 - 1e-16])).tolist() == [1, 4]


def test_random_numbers_belong_to_seed_and_item() -> None:
    one = random_numbers(1, "a").random(3)
    assert (one == random_numbers(1, "a").random(3)).all()
    assert (one != random_numbers(2, "a").random(3)).all()
    assert (one != random_numbers(1, "b").random(3)).all()


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        (Decoding(-1), "temperature must be at least 0"),
        (Decoding(1, 0, 0), "top_p must be above 0"),
    ],
)
def test_decoding_out_of_range_is_named(decoding: Decoding, message: str) -> None:
    with pytest.raises(InputError, match=f"decoding 'x': {message}"):
        check_decoding("x", decoding)
