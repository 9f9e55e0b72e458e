"""The plan for any texts: every token is scored once, from exactly the tokens before it."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmcore.scoring.padded import batches
from lmcore.scoring.plan import Pass, Window, blocks, passes, windows
from lmcore.text.encoder import Text

# few tokens and repeated stretches, so that texts begin alike and cross the edges of blocks
IDS = st.builds(
    lambda part, times: part * times,
    st.lists(st.integers(0, 2), min_size=1, max_size=6),
    st.integers(1, 12),
)


@st.composite
def texts(draw, max_size: int = 6) -> list[Text]:
    """Texts of at least one token, with no, one or two specials in front."""
    made = []
    for ids in draw(st.lists(IDS, min_size=1, max_size=max_size)):
        n_prefix = draw(st.integers(0, min(2, len(ids) - 1)))
        n = len(ids) - n_prefix
        starts = np.arange(n)
        made.append(Text(np.array(ids, np.int32), n_prefix, starts, starts + 1, np.ones(n, bool)))
    return made


@st.composite
def plans(draw) -> list[Window]:
    """The windows of some texts under some window and stride."""
    after = draw(st.booleans())
    window = draw(st.integers(1 + after, 90))
    return windows(draw(texts()), window, draw(st.integers(1, 90)), after)


def said(part: Pass) -> dict[int, tuple[tuple[int, ...], int]]:
    """What a pass asks for each row: (the tokens of the node's path, the token to score)."""
    seen: dict[int, tuple[int, ...]] = {}
    for path in part.paths:
        ids = tuple(part.ids[path].tolist())
        for place, node in enumerate(path.tolist()):
            beginning = ids[: place + 1]
            assert seen.setdefault(node, beginning) == beginning, "a node has one beginning"
    pairs = zip(part.rows.tolist(), part.row_pairs.tolist(), strict=True)
    nodes, targets = part.pair_nodes.tolist(), part.pair_next.tolist()
    return {row: (seen[nodes[pair]], targets[pair]) for row, pair in pairs}


def said_by_all(parts: Iterable[Pass]) -> dict[int, tuple[tuple[int, ...], int]]:
    """The same for several passes."""
    rows = {}
    for part in parts:
        rows |= said(part)
    return rows


def asked(found: list[Window]) -> dict[int, tuple[tuple[int, ...], int]]:
    """The same as `said`, read from the windows."""
    rows = {}
    for window in found:
        for number, target in enumerate(window.targets.tolist()):
            rows[window.row + number] = (
                tuple(window.inputs[: window.first + number + 1].tolist()),
                target,
            )
    return rows


@given(texts(), st.integers(2, 40), st.integers(1, 40), st.booleans())
def test_windows_score_every_token_once_behind_the_tokens_before_it(some, window, stride, after):
    found = windows(some, window, stride, after)
    wide = window - after  # inputs that predict something
    rows, row = asked(found), 0
    for text in some:
        ids = tuple(text.ids.tolist())
        for at in range(text.n_unscored, len(ids)):
            before, target = rows.pop(row)
            assert target == ids[at] and before == ids[at - len(before) : at]
            assert min(at, wide - min(stride, wide) + 1) <= len(before) <= wide
            row += 1
    assert not rows
    for part in found:
        assert len(part.inputs) <= window
        assert not after or part.inputs[part.first + len(part.targets)] == part.targets[-1]


@given(plans(), st.integers(1, 200), st.booleans())
def test_passes_ask_for_every_row_once_with_its_own_beginning(found, budget, share):
    rows: dict = {}
    for part in passes(found, budget, share):
        of_part = said(part)
        assert len(of_part) == len(part.rows) and not rows.keys() & of_part.keys()
        rows |= of_part
        assert len(part.ids) <= budget or len(part.paths) == 1
        assert np.unique(np.concatenate(part.paths)).tolist() == list(range(len(part.ids)))
        for path in part.paths:
            assert part.positions[path].tolist() == list(range(len(path)))
        pairs = list(zip(part.pair_nodes.tolist(), part.pair_next.tolist(), strict=True))
        assert pairs == sorted(set(pairs)), "no pair is computed twice"
    assert rows == asked(found)


@given(plans(), st.integers(1, 200), st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_order_budget_or_sharing(found: list[Window], budget: int, random):
    shuffled = random.sample(found, len(found))
    expected = said_by_all(passes(found, 10**6))
    for share in (False, True):
        assert said_by_all(passes(shuffled, budget, share)) == expected


@given(plans(), st.integers(1, 200))
def test_sharing_computes_no_beginning_twice_within_a_pass(found: list[Window], budget: int):
    for part in passes(found, budget):
        beginnings = set()
        for path in part.paths:
            ids = part.ids[path].tolist()
            beginnings |= {tuple(ids[: n + 1]) for n in range(len(ids))}
        assert len(part.ids) == len(beginnings)


@given(plans(), st.integers(1, 400))
def test_row_after_is_the_scored_token_where_the_window_holds_it(found: list[Window], budget: int):
    at = {}
    for window in found:
        for number in range(len(window.targets)):
            at[window.row + number] = (window, window.first + number + 1)
    for part in passes(found, budget):
        for row, node in zip(part.rows.tolist(), part.row_after.tolist(), strict=True):
            window, place = at[row]
            if place < len(window.inputs):
                assert (part.positions[node], part.ids[node]) == (place, window.inputs[place])


@given(plans(), st.integers(1, 400))
def test_blocks_give_every_node_the_keys_of_its_own_path(found: list[Window], budget: int):
    for part in passes(found, budget):
        made, sources = blocks(part.paths, len(part.ids))
        keys = []  # for each query row, what the causal mask lets it see
        for block in made:
            for path in block.paths.tolist():
                keys += [tuple(path[: place + 1]) for place in range(block.start, len(path))]
        for path in part.paths:
            for place, node in enumerate(path.tolist()):
                assert keys[sources[node]] == tuple(path[: place + 1].tolist())


@given(plans(), st.integers(1, 400), st.booleans())
def test_batches_hold_every_path_once_within_the_padded_budget(
    found: list[Window], budget: int, share: bool
):
    for one_pass in passes(found, 10**6, share):
        made = list(batches(one_pass.paths, budget))
        ends = [int(path[-1]) for batch in made for path in batch]
        assert sorted(ends) == sorted({int(path[-1]) for path in one_pass.paths})
        for batch in made:
            longest = max(len(path) for path in batch)
            assert len(batch) == 1 or len(batch) * longest <= budget
