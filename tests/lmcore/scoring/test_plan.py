import numpy as np
import pytest

from lmcore.scoring.plan import blocks, passes, spans, windows
from lmcore.text.encoder import Text


def text_of(n: int, n_prefix: int = 1, seed: int = 0) -> Text:
    ids = np.random.default_rng(seed).integers(0, 5, n + n_prefix).astype(np.int32)
    return Text(ids, n_prefix, np.arange(n), np.arange(n) + 1, np.ones(n, bool))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_spans_score_every_input_once_and_see_no_more_than_the_window(n, stride):
    found = list(spans(n, 8, stride))
    scored = []
    for _, first, end in found:
        scored += range(first, end)
    assert scored == list(range(n))
    assert all(begin <= first and end - begin <= 8 for begin, first, end in found)
    assert all(end - begin == 8 for begin, _, end in found) or n < 8


def test_spans_disjoint_fill_up_the_last_window_with_context():
    assert list(spans(20, 8, 8)) == [(0, 0, 8), (8, 8, 16), (12, 16, 20)]


def test_spans_sliding_move_on_by_the_stride():
    assert list(spans(14, 8, 3)) == [(0, 0, 8), (3, 8, 11), (6, 11, 14)]


@pytest.mark.parametrize("n_prefix", [0, 1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_windows_number_every_scored_token_once(n_prefix, after):
    texts = [text_of(n, n_prefix, n) for n in (1, 5, 30)]
    found = windows(texts, 8, 5, after)
    rows = np.concatenate([window.row + np.arange(len(window.targets)) for window in found])
    assert rows.tolist() == list(range(sum(n - (n_prefix == 0) for n in (1, 5, 30))))
    expected = np.concatenate([text.ids[text.n_unscored :] for text in texts])
    assert np.concatenate([window.targets for window in found]).tolist() == expected.tolist()
    assert all(len(window.inputs) <= 8 for window in found)
    if after:
        assert all(
            window.inputs[window.first + len(window.targets)] == window.targets[-1]
            for window in found
        )


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("token_budget", [1, 20, 1000])
def test_passes_hold_each_window_as_a_path_and_each_row_once(share, token_budget):
    found = windows([text_of(n, seed=n % 3) for n in (3, 4, 5, 40, 40, 200, 3)], 300, 300, False)
    seen = []
    for part in passes(found, token_budget, share):
        made, sources = blocks(part.paths, len(part.ids))
        assert sorted(set(sources.tolist())) == sorted(sources.tolist())
        queries = np.concatenate([block.paths[:, block.start :].ravel() for block in made])
        assert queries[sources].tolist() == list(range(len(part.ids)))
        assert sorted(set(np.concatenate(part.paths).tolist())) == list(range(len(part.ids)))
        for block in made:
            for path in block.paths[:, block.start :]:
                own = part.positions[path] == np.arange(block.start, block.paths.shape[1])
                assert own[0] and (np.diff(own.astype(int)) <= 0).all()
        for row, pair in zip(part.rows, part.row_pairs):
            window = next(w for w in found if w.row <= row < w.row + len(w.targets))
            place = window.first + row - window.row
            node = part.pair_nodes[pair]
            assert (part.positions[node], part.ids[node]) == (place, window.inputs[place])
            assert part.pair_next[pair] == window.targets[row - window.row]
        seen += part.rows.tolist()
    assert sorted(seen) == list(range(found[-1].row + len(found[-1].targets)))


def test_passes_compute_a_shared_beginning_once():
    pair = []
    for ids in ([1, 5, 6, 7], [1, 5, 8, 7]):
        pair.append(Text(np.array(ids, np.int32), 1, *[np.arange(3)] * 3))
    (part,) = passes(windows(pair, 10, 10, False), 100)
    assert sorted(zip(part.positions.tolist(), part.ids.tolist())) == [
        (0, 1),
        (1, 5),
        (2, 6),
        (2, 8),
    ]
    assert len(part.pair_nodes) == 5
