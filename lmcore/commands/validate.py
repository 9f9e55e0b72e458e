"""What a suite looks like to a model, before anything is scored: an items table and a tokenizer go in, a page of text comes out.

In the rendered items `|` stands between tokens and `‖` before the first token of the target, `·` for a space and `⏎` for a new line; `⟨…⟩`
is the prefix that is never scored, `+` a further byte of the character before it. A token that ends in the target is the target's.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmcore.corpus.documents import read_documents
from lmcore.corpus.overlap import items_in
from lmcore.folds.fold import window_of
from lmcore.models.folder import is_masked, read_config
from lmcore.scoring.engine import Engine
from lmcore.shown import for_terminal
from lmcore.suites.kinds import identical_options
from lmcore.tables import scoring_of
from lmcore.text.encoder import Text, TextEncoder
from lmcore.text.tokenizer import load_fast

SHOWN = 8  # groups or items that a line names
WIDTH = 140  # characters a line
CONTEXT_TOKENS, TARGET_TOKENS = 60, 120  # the most that are rendered


def validate(items: pa.Table, model: Path, corpus: Path | None, n_shown: int = 3) -> str:
    """The page about the items: counts, `n_shown` items with their tokens, and whatever in them may surprise.

    `model` is a model folder, which is loaded to see which forward scores it, or a bare tokenizer
    folder, of which no window is known. With a `corpus` folder the items that stand in its
    train split are counted. Raises InputError as scoring would, naming the item: an unknown token, a target without a scored token.
    """
    scoring = scoring_of(items)
    is_model = (model / "config.json").exists()
    vocab_size = read_config(model)["vocab_size"] if is_model else load_fast(model).get_vocab_size()
    masked = is_model and is_masked(read_config(model))
    encoder = TextEncoder(model, vocab_size, scoring.get("bos", "prefix"), model, masked)
    texts = encoder.encode(items)
    window = window_of(items, read_config(model)) if is_model else None
    parts = [
        _counts(items, scoring),
        _tokens(texts, model.name, vocab_size),
        _windows(items, texts, window),
        *_surprises(items, texts),
    ]
    if is_model:
        parts.append(f"scored by: {Engine(model, scoring, 'float32', 1).load().name}")
    if corpus is not None:
        documents = (row["text"] for row in read_documents(corpus / "train.parquet"))
        parts.append(
            _line("items whose right text stands in the training text", items_in(documents, items))
        )
    names = pc.unique(items["item"]).to_pylist()
    chosen = [
        names[i]
        for i in sorted({round(i * (len(names) - 1) / max(1, n_shown - 1)) for i in range(n_shown)})
    ]
    return (
        "\n".join(parts)
        + "\n\n"
        + "\n\n".join(_rendered(items, texts, encoder, name) for name in chosen)
    )


def _counts(items: pa.Table, scoring: dict) -> str:
    first = [
        row
        for row in items.select(["item", "group", "option", "variant"]).to_pylist()
        if row["option"] == 0 and not row["variant"]
    ]
    groups = Counter(row["group"] for row in first)
    n_options = int(pc.max(items["option"]).as_py()) + 1
    variants = sorted(set(pc.unique(items["variant"]).to_pylist()) - {""})
    counted = [
        _number(len(first), "item"),
        _number(len(groups), "group"),
        _number(n_options, "option") + " each",
    ]
    line = ", ".join([*counted, _number(items.num_rows, "text")])
    line += f" (variants {', '.join(variants)})" if variants else ""
    lines = [for_terminal(line)]
    named = [f"{group} {n:,}" for group, n in sorted(groups.items())]
    if len(groups) > 1:
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        line = f"groups of {min(groups.values()):,} to {max(groups.values()):,} items: {', '.join(named[:SHOWN])}{more}"
        lines.append(for_terminal(line))
    return "\n".join([*lines, f"bos {scoring.get('bos', 'prefix')}"])


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _tokens(texts: list[Text], name: str, vocab_size: int) -> str:
    lengths, targets = (
        np.array([len(t.starts) for t in texts]),
        np.array([int(t.is_target.sum()) for t in texts]),
    )
    return (
        f"tokens of {for_terminal(name)} (vocabulary of {vocab_size:,}): {lengths.sum():,}, {lengths.min()} to {lengths.max()} a text; "
        f"in targets {targets.sum():,}, {targets.min()} to {targets.max()}"
    )


def _windows(items: pa.Table, texts: list[Text], window: int | None) -> str:
    if window is None:
        return "windows: unknown without a model"
    longer = [row for row, text in enumerate(texts) if len(text.ids) - 1 > window]
    cut = [row for row in longer if int(texts[row].is_target.sum()) > window]
    return (
        _line(
            f"texts longer than the {window:,} tokens that the model sees at once, scored in windows",
            _names(items, longer),
        )
        + "\n"
        + _line("of these, targets that are longer themselves", _names(items, cut))
    )


def _surprises(items: pa.Table, texts: list[Text]) -> list[str]:
    contexts = [len(context) for context in items["context"].to_pylist()]
    spanning = [
        row
        for row, text in enumerate(texts)
        if ((text.starts < contexts[row]) & (text.ends > contexts[row])).any()
    ]
    unscored = [
        row for row, text in enumerate(texts) if text.n_prefix == 0 and text.is_target[:1].any()
    ]
    return [
        _line("texts with a token that spans the end of the context", _names(items, spanning)),
        _line(
            "texts whose target begins with a token that has no probability, for nothing precedes it",
            _names(items, unscored),
        ),
        _unsaid(
            items,
            texts,
            "unknown_bytes",
            "unknown tokens, which stand for characters without saying which",
        ),
        _unsaid(items, texts, "dropped_bytes", "bytes without a token"),
        _line("items with two identical options", identical_options(items.to_pylist())),
    ]


def _unsaid(items: pa.Table, texts: list[Text], name: str, what: str) -> str:
    """How many unknown tokens, or dropped bytes, there are, and in which texts (lmcore.text.token_losses)."""
    counts = []
    for text in texts:
        values = getattr(text, name)
        counts.append(
            0
            if values is None
            else int((values > 0).sum() if name == "unknown_bytes" else values.sum())
        )
    rows = [row for row, count in enumerate(counts) if count]
    return _line(f"texts with {what} ({sum(counts):,} in all)", _names(items, rows))


def _names(items: pa.Table, rows: list[int]) -> list[str]:
    return [f"{items['item'][row]} option {items['option'][row]}" for row in rows]


def _line(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (
        f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    )
    return f"{what}: {len(names):,}" + (f": {for_terminal(shown)}" if names else "")


def _rendered(items: pa.Table, texts: list[Text], encoder: TextEncoder, name: str) -> str:
    rows = np.flatnonzero(pc.equal(items["item"], name).to_numpy(zero_copy_only=False)).tolist()
    labels = []
    for item in items.take(rows).to_pylist():
        label = " ".join(
            [
                str(item["option"]),
                *(["gold"] if item["gold"] else []),
                *([item["variant"]] if item["variant"] else []),
            ]
        )
        labels.append(for_terminal(label))
    indent = max(map(len, labels)) + 4
    lines = [for_terminal(name)]
    for row, label in zip(rows, labels, strict=True):
        text = items["context"][row].as_py() + items["target"][row].as_py()
        lines += _wrapped(
            _pieces(texts[row], text, encoder), f"  {label}".ljust(indent), " " * indent
        )
    return "\n".join(lines)


def _pieces(text: Text, characters: str, encoder: TextEncoder) -> list[str]:
    """The tokens of a text, each with the mark that stands before it; long contexts lose their beginning, long targets their end."""
    first = int(np.argmax(text.is_target))
    begin, end = max(0, first - CONTEXT_TOKENS), min(len(text.starts), first + TARGET_TOKENS)
    pieces = [
        "".join(f"⟨{encoder.tokenizer.id_to_token(int(i))}⟩" for i in text.ids[: text.n_prefix])
        + ("…" if begin else "")
    ]
    for token in range(begin, end):
        before = (
            int(text.ends[token - 1]) if token else 0
        )  # some tokenizers leave the space before a word out of its token's span
        piece = (
            "+"
            if text.starts[token] < before
            else characters[before : text.ends[token]].replace(" ", "·").replace("\n", "⏎")
        )
        pieces.append(("‖" if token == first else "|" if token > begin or begin else "") + piece)
    return [for_terminal(piece) for piece in [*pieces, *(["|…"] if end < len(text.starts) else [])]]


def _wrapped(pieces: list[str], first: str, other: str) -> list[str]:
    lines = [first]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH:
            lines.append(other)
        lines[-1] += piece
    return lines
