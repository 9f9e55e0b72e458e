"""Which tokens share a forward pass.

Texts go in. `Window`s and `Pass`es come out. The plan depends only on the texts and the tracked
params, never on the machine or the number of workers.

A window is what the model sees at once: a text, or a part of a text that is longer than the model's
context. Every token is scored in exactly one window. The first windows are full; the last one is
filled up with context at its front, as lm-eval does.

A pass packs many windows without padding. Windows that begin alike share rows: the nodes of a trie
over token ids are computed once each. The row of a node enters the linear layers alone and attends
to the nodes on its path from the root.

Where torch's attention is used (`blocks`), it runs in blocks of positions with fixed edges (0, 16,
32, 64, 128, 256, 384 ...): the queries of a block against all keys up to the block's end, under a
causal mask. So the shape of the computation behind a row depends only on its position, not on how
long its text is or what else is in the pass, and results are bitwise independent of both.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lmcore.text.encoder import Piece, Text

# the first edges of blocks; the later ones are 128 positions apart
FIRST_EDGES = (0, 16, 32, 64, 128)


class Window(NamedTuple):
    """One stretch of a text, which the model sees at once.

    Input `first + i` predicts `targets[i]`, whose statistics belong into output row `row + i`.
    """

    inputs: np.ndarray  # (L,) int32
    first: int
    targets: np.ndarray  # (n,) int32
    row: int


class Block(NamedTuple):
    """Attention of the queries at positions start..stop against keys 0..stop, for B paths.

    Paths that end before `stop` are filled up with any node.
    """

    start: int
    paths: np.ndarray  # (B, stop) int64


class Pass(NamedTuple):
    """What one forward pass computes.

    There are N nodes, P different pairs (node, next token) and R output rows.
    """

    ids: np.ndarray  # (N,) int64
    positions: np.ndarray  # (N,) int64
    paths: list[np.ndarray]  # the nodes of each window, int64
    pair_nodes: np.ndarray  # (P,) int64, ascending
    pair_next: np.ndarray  # (P,) int64
    rows: np.ndarray  # (R,) int64
    row_pairs: np.ndarray  # (R,) int64
    # (R,) int64: the node of the scored token itself, where the window holds it
    row_after: np.ndarray


def spans(n: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, first, end) of the windows over `n` inputs.

    Each window sees begin..end and scores first..end. After the first window, each scores `stride`
    rows.
    """
    first, end = 0, min(window, n)
    while first < n:
        yield max(0, end - window), first, end
        first, end = end, min(end + stride, n)


def windows(texts: list[Text], window: int, stride: int, after: bool) -> list[Window]:
    """The windows of all texts.

    They number the output rows, too: text by text, token by token. With `after`, each window ends
    with the last scored token itself, for what the model expects after it. Each of a text's
    `pieces` is a window of its own; of one that is too long, the end is kept.
    """
    result: list[Window] = []
    row = 0
    size = window - after  # inputs that predict something
    for text in texts:
        if text.pieces is not None:
            for piece in text.pieces:
                result.append(_piece_window(piece, size, row))
                row += 1
            continue
        for begin, first, end in spans(len(text.ids) - 1, size, min(stride, size)):
            first_scored = max(first, text.n_unscored - 1)
            targets = text.ids[first_scored + 1 : end + 1]
            if len(targets):
                inputs = text.ids[begin : end + after]
                result.append(Window(inputs, first_scored - begin, targets, row))
                row += len(targets)
    return result


def _piece_window(piece: Piece, size: int, row: int) -> Window:
    """The window of a piece, of which at most the last `size` inputs are seen."""
    n_cut = max(0, len(piece.inputs) - size)
    target = np.array([piece.target], np.int32)
    return Window(piece.inputs[n_cut:], piece.place - n_cut, target, row)


def masked_windows(
    texts: list[Text], window: int, stride: int, mask_id: int, way: str
) -> list[Window]:
    """For masked LMs, one window for each scored token: a copy of its text in which it is masked.

    In the `way` within_word_l2r, the tokens that follow in its word are masked with it; `original`
    masks only the token itself. The output rows are numbered as by `windows`.

    Source: Salazar et al. 2020, https://aclanthology.org/2020.acl-main.240 (original); Kauf &
    Ivanova 2023, https://aclanthology.org/2023.acl-short.80 (within_word_l2r).
    """
    result: list[Window] = []
    for text in texts:
        assert text.suffix is not None and text.words is not None
        prefix, tokens = np.split(text.ids, [text.n_prefix])
        size = window - len(prefix) - len(text.suffix)
        for begin, first, end in spans(len(tokens), size, min(stride, size)):
            for place in range(max(first, text.n_unscored - text.n_prefix), end):
                masked = tokens[begin:end].copy()
                masked[place - begin] = mask_id
                if way == "within_word_l2r" and text.words[place] >= 0:
                    later = place + np.flatnonzero(text.words[place:end] == text.words[place])
                    masked[later - begin] = mask_id
                inputs = np.concatenate([prefix, masked, text.suffix])
                target = tokens[place : place + 1]
                result.append(Window(inputs, len(prefix) + place - begin, target, len(result)))
    return result


def passes(texts: list[Window], token_budget: int, share: bool = True) -> Iterator[Pass]:
    """Passes of at most `token_budget` nodes, but at least one window.

    With `share`, the windows are sorted so that equal beginnings come together and are computed
    once.
    """
    order: Iterable[int] = range(len(texts))
    if share:
        order = sorted(order, key=lambda i: texts[i].inputs.astype(">i4").tobytes())
    paths: list[np.ndarray] = []
    chosen: list[Window] = []
    n_nodes = 0
    for i in order:
        inputs = texts[i].inputs
        n_shared = _n_common(chosen[-1].inputs, inputs) if share and chosen else 0
        if chosen and n_nodes + len(inputs) - n_shared > token_budget:
            yield _build(chosen, paths, n_nodes)
            paths, chosen, n_nodes, n_shared = [], [], 0, 0
        shared = paths[-1][:n_shared] if n_shared else np.empty(0, np.int64)
        n_new = len(inputs) - n_shared
        paths.append(np.concatenate([shared, np.arange(n_nodes, n_nodes + n_new)]))
        chosen.append(texts[i])
        n_nodes += n_new
    if chosen:
        yield _build(chosen, paths, n_nodes)


def masked_passes(texts: list[Window], token_budget: int) -> Iterator[Pass]:
    """For masked LMs, passes of texts that are seen whole, the shortest first.

    Equal texts are computed once.
    """
    order = sorted(
        range(len(texts)), key=lambda i: (len(texts[i].inputs), texts[i].inputs.tobytes())
    )
    paths: list[np.ndarray] = []
    chosen: list[Window] = []
    n_nodes = 0
    for i in order:
        inputs = texts[i].inputs
        is_known = bool(chosen) and np.array_equal(chosen[-1].inputs, inputs)
        if chosen and not is_known and n_nodes + len(inputs) > token_budget:
            yield _build(chosen, paths, n_nodes)
            paths, chosen, n_nodes = [], [], 0
        paths.append(paths[-1] if is_known else np.arange(n_nodes, n_nodes + len(inputs)))
        chosen.append(texts[i])
        n_nodes += 0 if is_known else len(inputs)
    if chosen:
        yield _build(chosen, paths, n_nodes)


def whole_blocks(paths: list[np.ndarray], n_nodes: int) -> tuple[list[Block], np.ndarray]:
    """As `blocks`, where every node sees its whole path: one block for the paths of each length."""
    made: list[Block] = []
    sources = np.full(n_nodes, -1, np.int64)
    n_rows = 0  # query rows of the blocks made so far
    by_length: dict[int, dict[int, np.ndarray]] = {}  # then by first node: equal paths once
    for path in paths:
        by_length.setdefault(len(path), {})[int(path[0])] = path
    for different_paths in by_length.values():
        block = np.stack(list(different_paths.values()))
        sources[block] = n_rows + np.arange(block.size).reshape(block.shape)
        made.append(Block(0, block))
        n_rows += block.size
    return made, sources


def blocks(paths: list[np.ndarray], n_nodes: int) -> tuple[list[Block], np.ndarray]:
    """The attention blocks of the paths, without doing the same work twice.

    The second result, (N,) int64, says where the result of each node stands in the concatenated
    query rows of the blocks.
    """
    made: list[Block] = []
    sources = np.full(n_nodes, -1, np.int64)
    n_rows = 0  # query rows of the blocks made so far
    start = 0
    while paths:
        stop = _next_edge(start)
        # A node stands for its whole path, so paths with the same last node are the same
        ends = {int(path[min(stop, len(path)) - 1]): path[:stop] for path in paths}
        padded = [np.pad(path, (0, stop - len(path)), constant_values=-1) for path in ends.values()]
        filled = np.stack(padded)
        queries = filled[:, start:]
        sources[queries[queries >= 0]] = n_rows + np.flatnonzero(queries.ravel() >= 0)
        # Any node will do in the place of -1: the mask hides it
        made.append(Block(start, np.where(filled >= 0, filled, filled[:, :1])))
        n_rows, start = n_rows + queries.size, stop
        paths = [path for path in paths if len(path) > stop]
    return made, sources


def _next_edge(start: int) -> int:
    """The edge of blocks that follows the edge `start`."""
    if start < FIRST_EDGES[-1]:
        return FIRST_EDGES[FIRST_EDGES.index(start) + 1]
    return start + FIRST_EDGES[-1]


def _n_common(a: np.ndarray, b: np.ndarray) -> int:
    """The length of the common beginning."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def _build(chosen: list[Window], paths: list[np.ndarray], n_nodes: int) -> Pass:
    """The pass over these windows, whose nodes are their `paths`."""
    ids, positions = np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64)
    nodes, after, rows = [], [], []
    for window, path in zip(chosen, paths):
        ids[path], positions[path] = window.inputs, np.arange(len(path))
        n = len(window.targets)
        nodes.append(path[window.first : window.first + n])
        # the last node once more, where the window does not hold the last target
        after.append(np.append(path, path[-1])[window.first + 1 :][:n])
        rows.append(np.arange(window.row, window.row + n))
    targets = np.concatenate([window.targets for window in chosen])
    # A pair is one number, with the node in its upper 32 bits
    pairs = np.concatenate(nodes) << 32 | targets
    pairs, row_pairs = np.unique(pairs, return_inverse=True)
    return Pass(
        ids=ids,
        positions=positions,
        paths=paths,
        pair_nodes=pairs >> 32,
        pair_next=pairs & 0xFFFFFFFF,
        rows=np.concatenate(rows),
        row_pairs=row_pairs,
        row_after=np.concatenate(after),
    )
