import math

import numpy as np
import torch

from lmcore.scoring.stats import statistics, summarise_fused


def of(logits, nodes, next_ids, **options):
    logits = torch.tensor(logits, dtype=torch.float32)
    return statistics(lambda x: x.clone(), logits, np.array(nodes), np.array(next_ids), **options)


def test_statistics_of_three_tokens_are_those_computed_by_hand():
    columns, _ = of([[math.log(0.5), math.log(0.3), math.log(0.2)]], [0, 0, 0], [0, 1, 2])
    entropy = -sum(p * math.log(p) for p in (0.5, 0.3, 0.2))
    np.testing.assert_allclose(columns["logprob"], np.log([0.5, 0.3, 0.2]), rtol=1e-6)
    np.testing.assert_allclose(columns["entropy"], [entropy] * 3, rtol=1e-6)
    np.testing.assert_allclose(columns["top_logprob"], [math.log(0.5)] * 3, rtol=1e-6)
    assert columns["rank"].tolist() == [1, 2, 3]
    assert columns["top_id"].tolist() == [0, 0, 0]


def test_rank_counts_strictly_larger_logits_so_that_ties_share_the_best():
    columns, _ = of([[2.0, 1.0, 2.0, 1.0]] * 2, [0, 0, 1], [0, 1, 3])
    assert columns["rank"].tolist() == [1, 3, 3]
    assert columns["top_id"].tolist() == [0, 0, 0]


def test_entropy_of_an_impossible_token_counts_nothing():
    columns, _ = of([[0.0, 0.0, -math.inf]], [0], [1])
    np.testing.assert_allclose(columns["entropy"], [math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(columns["logprob"], [-math.log(2)], rtol=1e-6)


def test_entropy_of_uniform_logits_is_log_of_the_vocabulary_size():
    columns, _ = of([[7.0] * 500], [0], [3])
    np.testing.assert_allclose(columns["entropy"], [math.log(500)], rtol=1e-6)
    assert columns["rank"].tolist() == [1]


def test_statistics_hold_their_invariants_and_agree_with_float64_whatever_the_chunks():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 777, generator=generator) * 4
    nodes, next_ids = (
        np.sort(np.random.default_rng(0).integers(0, 200, 300)),
        np.random.default_rng(1).integers(0, 777, 300),
    )
    exact = torch.log_softmax(logits.double(), -1).numpy()[nodes]
    expected = None
    for chunk_rows in (1, 7, 64, 1000):
        columns, _ = statistics(
            lambda x: x.clone(), logits, nodes, next_ids, top_k=3, chunk_rows=chunk_rows
        )
        np.testing.assert_allclose(columns["logprob"], exact[np.arange(300), next_ids], atol=2e-5)
        np.testing.assert_allclose(columns["entropy"], -(np.exp(exact) * exact).sum(-1), atol=2e-5)
        assert columns["rank"].tolist() == [
            int((row > row[token]).sum()) + 1 for row, token in zip(exact, next_ids)
        ]
        assert ((columns["rank"] == 1) == (columns["logprob"] == columns["top_logprob"])).all()
        assert (columns["top_ids"] == np.argsort(-exact, -1)[:, :3]).all()
        assert (columns["top_ids"][:, 0] == columns["top_id"]).all()
        expected = expected or columns
        assert all((columns[name] == expected[name]).all() for name in columns)


def test_mass_of_marked_tokens_is_given_for_every_row():
    _, masses = of(
        [[math.log(0.5), math.log(0.3), math.log(0.2)], [0.0, 0.0, 0.0]],
        [0],
        [0],
        begins=torch.tensor([True, False, True]),
    )
    np.testing.assert_allclose(np.exp(masses), [0.7, 2 / 3], rtol=1e-6)


def test_reader_for_the_gpu_says_the_same_as_the_one_for_the_cpu():
    """The logits hold ties and impossible tokens, too."""
    logits = torch.randn(40, 30, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    logits[3, 5] = logits[7, 0] = -math.inf
    nodes = np.repeat(np.arange(40), 2)
    next_ids = np.random.default_rng(2).integers(0, 30, 80)
    next_ids[6] = logits[3].argmax()
    for options in ({}, {"top_k": 3, "chunk_rows": 7}):
        columns, _ = of(logits.tolist(), nodes, next_ids, **options)
        fused, _ = of(logits.tolist(), nodes, next_ids, read=summarise_fused, **options)
        assert columns.keys() == fused.keys()
        for name, values in columns.items():
            np.testing.assert_allclose(fused[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
