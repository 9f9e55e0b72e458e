import numpy as np
import pytest

from lmcore.statistics.agreement import agreement, expected_agreement


def test_agreement_counts_pairs_of_draws_that_choose_alike():
    a, b, tie = [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]
    values = np.array([[a, a, tie], [a, b, tie], [b, a, tie]])  # (draws, items, options)
    assert agreement(values) == pytest.approx([1 / 3, 1 / 3, 1 / 2])


def test_draws_that_are_one_model_agree_always():
    values = np.random.default_rng(0).normal(size=(1, 50, 4)).repeat(3, 0)
    assert (agreement(values) == 1).all()


@pytest.mark.parametrize("lengths", [(3, 3), (3, 4), (5, 5, 5, 5), (4, 5, 4, 9)])
def test_expected_agreement_is_that_of_random_logits(lengths):
    vocab_size, n = 200, 4000
    rng = np.random.default_rng(1)
    logprobs = []
    for length in lengths:
        mean = -length * (np.log(vocab_size) + 0.5)
        logprobs.append(rng.normal(mean, np.sqrt(length), (2, n)))
    values = np.stack(logprobs, -1)
    measured = agreement(values)
    expected = expected_agreement(np.array([lengths]), vocab_size)[0]
    assert abs(measured.mean() - expected) < 4 * measured.std() / np.sqrt(n) + 1e-3
    if len(set(lengths)) == 1:
        assert expected == pytest.approx(1 / len(lengths), abs=1e-3)
