import numpy as np
import pytest
import torch

from lmcore.training import ranks
from lmcore.training.batches import Examples, batches, passes, take_rows


@pytest.mark.parametrize("offset", [False, True])
def test_batches_see_every_token_and_are_a_function_of_seed_and_epoch(offset):
    stream = Examples(np.arange(70).reshape(10, 7))
    all_batches = list(batches(10 - offset, 4, 6, seed=3))
    assert [epoch for epoch, _ in all_batches] == [0, 0, 0, 1, 1, 1]
    for epoch in (0, 1):
        rows = np.concatenate([rows for e, rows in all_batches if e == epoch])
        assert sorted(rows) == list(range(10 - offset))
        ids, again = (take_rows(stream, rows, offsets(epoch, offset)).ids for _ in range(2))
        assert np.array_equal(ids, again)
        assert (np.diff(ids, axis=1) == 1).all()  # consecutive tokens of the stream
        distance = ids[:, 0] - rows * 7
        assert ((distance >= 0) & (distance < 7)).all()


def offsets(epoch: int, offset: bool) -> np.random.Generator | None:
    return np.random.default_rng([3, epoch, 1]) if offset else None


def test_passes_cut_into_shorter_sequences_hold_the_same_tokens():
    batch = Examples(np.arange(36).reshape(3, 12))
    cut = list(passes(batch, 2, torch.device("cpu"), 4))
    assert [len(ids) for ids, _ in cut] == [6, 3]  # sequences of two chunks, then of one
    ids = torch.cat([ids for ids, _ in cut])
    assert torch.equal(ids.flatten(), torch.arange(36))
    for sequence, labels in zip(ids, torch.cat([labels for _, labels in cut]), strict=True):
        assert torch.equal(labels, sequence[1:])  # a sequence's first token is no target


@pytest.mark.parametrize("n_rows", [1, 4, 5])
def test_passes_are_as_many_on_each_rank_and_cover_the_batch_once(monkeypatch, n_rows):
    ids = np.arange(8 * n_rows, dtype=np.int32).reshape(n_rows, 8)
    monkeypatch.setattr(ranks, "size", lambda: 3)
    n_passes, targets = set(), []
    for rank in range(3):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        taken = list(passes(Examples(ids), 1, torch.device("cpu"), length=4))
        n_passes.add(len(taken))
        labels = torch.cat([labels.flatten() for _, labels in taken])
        targets += labels[labels >= 0].tolist()
    assert len(n_passes) == 1
    assert sorted(targets) == sorted(ids.reshape(-1, 4)[:, 1:].flatten())
