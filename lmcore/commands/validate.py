"""What a suite looks like to a model, before anything is scored.

An items table and a tokenizer go in. A page of text comes out.

In the rendered items, `|` stands between tokens and `‖` before the first token of the target. `·`
is a space and `⏎` is a new line. `⟨…⟩` is the prefix, which is never scored, and `+` is a further
byte of the character before it. A token that ends in the target belongs to the target.
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
from lmcore.suites.declare import subset_of
from lmcore.suites.kinds import identical_options
from lmcore.tables import CLUSTER, scoring_of
from lmcore.text.encoder import Text, TextEncoder
from lmcore.text.separate import SeparateEncoder, encoder_of
from lmcore.text.tokenizer import load_fast

SHOWN = 8  # the most groups or items that a line names
WIDTH = 140  # characters a line
CONTEXT_TOKENS, TARGET_TOKENS = 60, 120  # the most tokens that are rendered


def validate(items: pa.Table, model: Path, corpus: Path | None, n_shown: int = 3) -> str:
    """The page about the items: counts, what may surprise, and `n_shown` items with their tokens.

    `model` is a model folder, or a folder with only a tokenizer. A model is loaded to see which
    forward scores it; of a tokenizer no window is known. If a `corpus` folder is given, the items
    that stand in its train split are counted.

    Raises InputError as scoring would, naming the item: for an unknown token, and for a target
    without a scored token.
    """
    scoring = scoring_of(items)
    config = read_config(model) if (model / "config.json").exists() else None
    if config is not None:
        vocab_size, masked = config["vocab_size"], is_masked(config)
    else:
        vocab_size, masked = load_fast(model).get_vocab_size(), False
    encoder = encoder_of(scoring, model, vocab_size, model, masked)
    texts = encoder.encode(items)
    window = window_of(items, config) if config is not None else None
    lines = [
        *_counts(items, scoring),
        _tokens(texts, model.name, vocab_size),
        *_windows(items, texts, window),
        *_surprises(items, texts),
    ]
    if config is not None:
        lines.append(f"scored by: {Engine(model, scoring, 'float32', 1).load().name}")
    if corpus is not None:
        documents = (row["text"] for row in read_documents(corpus / "train.parquet"))
        known = items_in(documents, items)
        lines.append(_line("items whose right text stands in the training text", known))
    chosen = _spread(pc.unique(items["item"]).to_pylist(), n_shown)
    rendered = [_rendered(items, texts, encoder, name) for name in chosen]
    return "\n".join(lines) + "\n\n" + "\n\n".join(rendered)


def _spread(names: list[str], n: int) -> list[str]:
    """At most `n` of the names, evenly spread from the first to the last."""
    numbers = {round(i * (len(names) - 1) / max(1, n - 1)) for i in range(n)}
    return [names[number] for number in sorted(numbers)]


def _counts(items: pa.Table, scoring: dict) -> list[str]:
    """How many items, groups, options and texts there are, and the policy of BOS."""
    rows = items.select(["group", "option", "variant"]).to_pylist()
    n_items = Counter(row["group"] for row in rows if row["option"] == 0 and not row["variant"])
    n_options = int(pc.max(items["option"]).as_py()) + 1
    counts = [_number(n_items.total(), "item"), _number(len(n_items), "group")]
    if CLUSTER in items.column_names:
        counts.append(_number(len(pc.unique(items[CLUSTER])), "cluster"))
    counts += [_number(n_options, "option") + " each", _number(items.num_rows, "text")]
    line = ", ".join(counts)
    variants = sorted(set(pc.unique(items["variant"]).to_pylist()) - {""})
    if variants:
        line += f" (variants {', '.join(variants)})"
    lines = [for_terminal(line)]
    if len(n_items) > 1:
        lines.append(for_terminal(_groups(n_items)))
    if "subset_of" in scoring:
        lines.append(subset_of(n_items.total(), scoring["subset_of"]))
    if "tokenisation" in scoring:
        lines.append(f"context and target tokenised: {scoring['tokenisation']}")
    return [*lines, f"bos {scoring.get('bos', 'prefix')}"]


def _groups(n_items: Counter[str]) -> str:
    """The groups with their numbers of items."""
    named = [f"{group} {n:,}" for group, n in sorted(n_items.items())]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    sizes = f"{min(n_items.values()):,} to {max(n_items.values()):,}"
    return f"groups of {sizes} items: {', '.join(named[:SHOWN])}{more}"


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _tokens(texts: list[Text], name: str, vocab_size: int) -> str:
    """How many tokens the texts and their targets have, by the tokenizer in the folder `name`."""
    n_tokens = np.array([len(text.starts) for text in texts])
    n_targets = np.array([int(text.is_target.sum()) for text in texts])
    return (
        f"tokens of {for_terminal(name)} (vocabulary of {vocab_size:,}): "
        f"{n_tokens.sum():,}, {n_tokens.min()} to {n_tokens.max()} a text; "
        f"in targets {n_targets.sum():,}, {n_targets.min()} to {n_targets.max()}"
    )


def _windows(items: pa.Table, texts: list[Text], window: int | None) -> list[str]:
    """Which texts and targets are longer than the model's window."""
    if window is None:
        return ["windows: unknown without a model"]
    longer = [row for row, text in enumerate(texts) if len(text.ids) - 1 > window]
    cut = [row for row in longer if int(texts[row].is_target.sum()) > window]
    what = f"texts longer than the {window:,} tokens that the model sees at once, scored in windows"
    return [
        _line(what, _names(items, longer)),
        _line("of these, targets that are longer themselves", _names(items, cut)),
    ]


def _surprises(items: pa.Table, texts: list[Text]) -> list[str]:
    """Whatever in the texts and their tokens may surprise."""
    contexts = items["context"].to_pylist()
    spanning, unscored = [], []
    for row, text in enumerate(texts):
        edge = len(contexts[row])
        if ((text.starts < edge) & (text.ends > edge)).any():
            spanning.append(row)
        if text.n_prefix == 0 and text.is_target[:1].any():
            unscored.append(row)
    n_unknown = [_n_unknown_tokens(text) for text in texts]
    n_dropped = [_n_dropped_bytes(text) for text in texts]
    return [
        _line("texts with a token that spans the end of the context", _names(items, spanning)),
        _line(
            "texts whose target begins with a token that has no probability, "
            "for nothing precedes it",
            _names(items, unscored),
        ),
        _losses(
            items, n_unknown, "unknown tokens, which stand for characters without saying which"
        ),
        _losses(items, n_dropped, "bytes without a token"),
        _line("items with two identical options", identical_options(items.to_pylist())),
    ]


def _n_unknown_tokens(text: Text) -> int:
    """How many tokens of the text are unknown tokens (see lmcore.text.token_losses)."""
    return 0 if text.unknown_bytes is None else int((text.unknown_bytes > 0).sum())


def _n_dropped_bytes(text: Text) -> int:
    """How many bytes of the text have no token (see lmcore.text.token_losses)."""
    return 0 if text.dropped_bytes is None else int(text.dropped_bytes.sum())


def _losses(items: pa.Table, counts: list[int], what: str) -> str:
    """In which texts the tokenizer loses something: `counts` holds how much, for each text."""
    rows = [row for row, count in enumerate(counts) if count]
    return _line(f"texts with {what} ({sum(counts):,} in all)", _names(items, rows))


def _names(items: pa.Table, rows: list[int]) -> list[str]:
    return [f"{items['item'][row]} option {items['option'][row]}" for row in rows]


def _line(what: str, names: list[str]) -> str:
    """How many there are of something, and the first of their names."""
    line = f"{what}: {len(names):,}"
    if not names:
        return line
    shown = ", ".join(names[:SHOWN])
    if len(names) > SHOWN:
        shown += f" and {len(names) - SHOWN:,} more"
    return f"{line}: {for_terminal(shown)}"


def _rendered(
    items: pa.Table, texts: list[Text], encoder: TextEncoder | SeparateEncoder, name: str
) -> str:
    """The item `name`, with the tokens of each of its texts."""
    rows = np.flatnonzero(pc.equal(items["item"], name).to_numpy(zero_copy_only=False)).tolist()
    item_rows = items.take(rows).to_pylist()
    labels = [_label(row) for row in item_rows]
    indent = max(map(len, labels)) + 4
    lines = [for_terminal(name)]
    for number, row, label in zip(rows, item_rows, labels, strict=True):
        pieces = _pieces(texts[number], row["context"] + row["target"], encoder)
        lines += _wrapped(pieces, f"  {label}".ljust(indent), " " * indent)
    return "\n".join(lines)


def _label(row: dict) -> str:
    """The option of an items row, with `gold` and the variant where these apply."""
    words = [str(row["option"])]
    if row["gold"]:
        words.append("gold")
    if row["variant"]:
        words.append(row["variant"])
    return for_terminal(" ".join(words))


def _pieces(text: Text, characters: str, encoder: TextEncoder | SeparateEncoder) -> list[str]:
    """The tokens of a text, each with the mark that stands before it.

    Long contexts lose their beginning, and long targets their end.
    """
    first = int(np.argmax(text.is_target))
    begin, end = max(0, first - CONTEXT_TOKENS), min(len(text.starts), first + TARGET_TOKENS)
    prefix = [encoder.tokenizer.id_to_token(int(number)) for number in text.ids[: text.n_prefix]]
    pieces = ["".join(f"⟨{token}⟩" for token in prefix) + ("…" if begin else "")]
    for token in range(begin, end):
        # a piece begins where the last one ended, since some tokenizers leave the space before a
        # word out of its token's span
        start = int(text.ends[token - 1]) if token else 0
        if text.starts[token] < start:
            piece = "+"
        else:
            piece = characters[start : text.ends[token]].replace(" ", "·").replace("\n", "⏎")
        mark = "|" if token else ""
        pieces.append(("‖" if token == first else mark) + piece)
    if end < len(text.starts):
        pieces.append("|…")
    return [for_terminal(piece) for piece in pieces]


def _wrapped(pieces: list[str], first: str, other: str) -> list[str]:
    """The pieces in lines of up to WIDTH characters, which begin with `first` and then `other`."""
    lines = [first]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH:
            lines.append(other)
        lines[-1] += piece
    return lines
