"""Which tokens share a forward pass: a pure function of the texts and the tracked params, never of the machine or the number of workers.

Texts come in, `Window`s and `Pass`es go out. A window is what the model sees at once: a text, or a part of one that is longer than the
model's context. Every token is scored in exactly one window; the first windows are full, the last is filled up with context at its front,
as lm-eval does.

A pass packs many windows without padding. Windows that begin alike share rows: the nodes of a trie over token ids are computed once each. A
node's row enters the linear layers alone and attends to the nodes on its path from the root.

Where torch's attention is used (`blocks`), it runs in blocks of positions with fixed edges (0, 16, 32, 64, 128, 256, 384 ...): the queries
of a block against all keys up to the block's end, under a causal mask. So the shape of the computation behind a row depends on its position
alone, not on how long its text is or what else is in the pass, and results are bitwise independent of both.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lmcore.text.encoder import Text

FIRST_EDGES = (0, 16, 32, 64, 128)


class Window(NamedTuple):
    """One stretch of a text. Input `first + i` predicts `targets[i]`, whose statistics belong into output row `row + i`.

    `n_states`: of how many inputs from `first` on the model's states are needed, one more than there are targets where what it
    expects after the last of them is wanted.
    """

    inputs: np.ndarray  # (L,) int32
    first: int
    targets: np.ndarray  # (n,) int32
    row: int
    n_states: int


class Block(NamedTuple):
    """Attention of the queries at positions start..stop against keys 0..stop, for B paths; those that end earlier are filled up with any
    node.
    """

    start: int
    paths: np.ndarray  # (B, stop) int64


class Pass(NamedTuple):
    """What one forward pass computes. N nodes; P different (node, next token) pairs; R output rows."""

    ids: np.ndarray  # (N,) int64
    positions: np.ndarray  # (N,) int64
    paths: list[np.ndarray]  # a window's nodes each, int64
    pair_nodes: np.ndarray  # (P,) int64, ascending
    pair_next: np.ndarray  # (P,) int64
    rows: np.ndarray  # (R,) int64
    row_pairs: np.ndarray  # (R,) int64
    row_after: (
        np.ndarray
    )  # (R,) int64: the node of the scored token itself, where the window holds it


def spans(n: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, first, end) of windows over `n` inputs: each sees begin..end and scores first..end, `stride` rows after the first window."""
    first, end = 0, min(window, n)
    while first < n:
        yield max(0, end - window), first, end
        first, end = end, min(end + stride, n)


def windows(texts: list[Text], window: int, stride: int, after: bool) -> list[Window]:
    """The windows of all texts, and with them the numbering of the output rows: text by text, token by token.

    `after` lets each window end with the last scored token itself, for what the model expects after it.
    """
    result, row = [], 0
    for text in texts:
        for begin, first, end in spans(
            len(text.ids) - 1, window - after, min(stride, window - after)
        ):
            scored = max(first, text.n_unscored - 1)
            targets = text.ids[scored + 1 : end + 1]
            if len(targets):
                result.append(
                    Window(
                        text.ids[begin : end + after],
                        scored - begin,
                        targets,
                        row,
                        len(targets) + after,
                    )
                )
                row += len(targets)
    return result


def masked_windows(
    texts: list[Text], window: int, stride: int, mask_id: int, way: str
) -> list[Window]:
    """For masked LMs: of each scored token a copy of its text in which it is masked, and with it, in the `way` within_word_l2r, what
    follows in its word; `original` masks the token alone. The rows are numbered as by `windows`.

    Source: Salazar et al. 2020, https://aclanthology.org/2020.acl-main.240 (original); Kauf & Ivanova 2023,
    https://aclanthology.org/2023.acl-short.80 (within_word_l2r).
    """
    result: list[Window] = []
    for text in texts:
        assert text.suffix is not None and text.words is not None
        prefix, own = np.split(text.ids, [text.n_prefix])
        n_specials = len(prefix) + len(text.suffix)
        for begin, first, end in spans(
            len(own), window - n_specials, min(stride, window - n_specials)
        ):
            for place in range(max(first, text.n_unscored - text.n_prefix), end):
                masked = own[begin:end].copy()
                masked[place - begin] = mask_id
                if way == "within_word_l2r" and text.words[place] >= 0:
                    later = place + np.flatnonzero(text.words[place:end] == text.words[place])
                    masked[later - begin] = mask_id
                inputs = np.concatenate([prefix, masked, text.suffix])
                result.append(
                    Window(
                        inputs, len(prefix) + place - begin, own[place : place + 1], len(result), 1
                    )
                )
    return result


def passes(texts: list[Window], token_budget: int, share: bool = True) -> Iterator[Pass]:
    """Passes of at most `token_budget` nodes, but at least one window; in the order that brings equal beginnings together."""
    order = (
        sorted(range(len(texts)), key=lambda i: texts[i].inputs.astype(">i4").tobytes())
        if share
        else range(len(texts))
    )
    paths: list[np.ndarray] = []
    chosen: list[Window] = []
    n_nodes = 0
    for i in order:
        inputs = texts[i].inputs
        n_shared = _common(chosen[-1].inputs, inputs) if share and chosen else 0
        if chosen and n_nodes + len(inputs) - n_shared > token_budget:
            yield _build(chosen, paths, n_nodes)
            paths, chosen, n_nodes, n_shared = [], [], 0, 0
        shared = paths[-1][:n_shared] if n_shared else np.empty(0, np.int64)
        paths.append(np.concatenate([shared, np.arange(n_nodes, n_nodes + len(inputs) - n_shared)]))
        chosen.append(texts[i])
        n_nodes += len(inputs) - n_shared
    if chosen:
        yield _build(chosen, paths, n_nodes)


def masked_passes(texts: list[Window], token_budget: int) -> Iterator[Pass]:
    """For masked LMs: passes of texts that are seen whole, the shortest first; equal ones are computed once."""
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
    made, sources, offset = [], np.full(n_nodes, -1, np.int64), 0
    by_length: dict[int, dict[int, np.ndarray]] = {}
    for path in paths:
        by_length.setdefault(len(path), {})[int(path[0])] = path
    for of_length in by_length.values():
        block = np.stack(list(of_length.values()))
        sources[block] = offset + np.arange(block.size).reshape(block.shape)
        made.append(Block(0, block))
        offset += block.size
    return made, sources


def blocks(paths: list[np.ndarray], n_nodes: int) -> tuple[list[Block], np.ndarray]:
    """The attention blocks of the paths, the same work once only; and where in the blocks' concatenated query rows each node's result
    stands, (N,) int64.
    """
    made, sources, offset, start = [], np.full(n_nodes, -1, np.int64), 0, 0
    while paths:
        stop = (
            FIRST_EDGES[FIRST_EDGES.index(start) + 1]
            if start < FIRST_EDGES[-1]
            else start + FIRST_EDGES[-1]
        )
        ends = {
            int(path[min(stop, len(path)) - 1]): path[:stop] for path in paths
        }  # a node stands for its whole path
        filled = np.stack(
            [np.pad(path, (0, stop - len(path)), constant_values=-1) for path in ends.values()]
        )
        queries = filled[:, start:]
        sources[queries[queries >= 0]] = offset + np.flatnonzero(queries.ravel() >= 0)
        made.append(
            Block(start, np.where(filled >= 0, filled, filled[:, :1]))
        )  # any node will do: the mask hides it
        offset, start = offset + queries.size, stop
        paths = [path for path in paths if len(path) > stop]
    return made, sources


def batches(
    texts: list[Window], token_budget: int, of_one_length: bool = False
) -> Iterator[list[Window]]:
    """For models that run padded batches: windows sorted by length, at most `token_budget` tokens
    with padding, but at least one window; `of_one_length`: without any padding.
    """
    batch: list[Window] = []
    for window in sorted(texts, key=lambda window: (len(window.inputs), window.row)):
        length = len(window.inputs)
        is_full = (len(batch) + 1) * length > token_budget
        if batch and (is_full or (of_one_length and length > len(batch[0].inputs))):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _common(a: np.ndarray, b: np.ndarray) -> int:
    """The length of the common beginning."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def _build(chosen: list[Window], paths: list[np.ndarray], n_nodes: int) -> Pass:
    ids, positions = np.empty(n_nodes, np.int64), np.empty(n_nodes, np.int64)
    for window, path in zip(chosen, paths):
        ids[path], positions[path] = window.inputs, np.arange(len(path))
    nodes = np.concatenate(
        [
            path[window.first : window.first + len(window.targets)]
            for window, path in zip(chosen, paths)
        ]
    )
    after = np.concatenate(
        [
            np.append(path, path[-1])[window.first + 1 :][: len(window.targets)]
            for window, path in zip(chosen, paths)
        ]
    )
    rows = np.concatenate(
        [np.arange(window.row, window.row + len(window.targets)) for window in chosen]
    )
    pairs = nodes << 32 | np.concatenate([window.targets for window in chosen])
    pairs, row_pairs = np.unique(pairs, return_inverse=True)
    return Pass(ids, positions, paths, pairs >> 32, pairs & 0xFFFFFFFF, rows, row_pairs, after)
