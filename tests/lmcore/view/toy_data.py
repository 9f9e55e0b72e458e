"""A data folder on the disk: two toy models on a suite of pairs, of completions and of text."""

import json
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer, models

from lmcore.tables import ITEMS, SCORES, TOKENS, write
from tests.lmcore.items.toy_sets import SETTINGS
from tests.lmcore.token_tables import fold, items_of, tokens_of

MODELS = ["first", "second"]
KINDS = {"pairs": "pairs", "completions": "completion", "texts": "text"}


def write_data(root: Path, n: int = 6, text: str = "") -> Path:
    """The folder `root`/data, with `text` in ids, groups and texts."""
    data = root / "data"
    pairs = {f"g{k % 2}{text}/{k}": [("", f"he{k}{text} yes"), ("", f"he{k} no")] for k in range(n)}
    tables = {
        "pairs": items_of(pairs),
        "completions": items_of({f"c/{k}": [(f"He saw {k}", " sea")] for k in range(n)}),
        "texts": items_of({f"t/{k}": [("", "a long text " * (k + 1))] for k in range(3)}),
    }
    for suite, items in tables.items():
        write(items, ITEMS, data / "items" / f"{suite}.parquet")
        for number, model in enumerate(MODELS):
            write_side(data, model, suite, items, number)
    return data


def write_side(data: Path, model: str, suite: str, items: pa.Table, number: int) -> None:
    """The tokens, scores and tokenizer of a model; `number` makes its log-probs differ."""

    def logprob(draw: int, before: tuple[str, ...], word: str) -> float:
        place = int("".join(filter(str.isdigit, " ".join(before))) or 0)
        return -1.0 - (len(word) + place * (number + 1)) % 5 - draw

    tokens = tokens_of(
        items, logprob, draws=1 + number, rank=lambda word: 2 - number, top=lambda word: number == 1
    )
    parts = [tokens.slice(0, 4), tokens.slice(4)]  # an item may lie in two parts
    for place, part in enumerate(parts):
        write(part, TOKENS, data / "tokens" / model / suite / f"part-{place:05d}.parquet")
    scores = fold(items, tokens, kind=KINDS[suite], masked=False, **SETTINGS)
    write(scores, SCORES, data / "scores" / model / f"{suite}.parquet")
    folder = data / "models" / model
    folder.mkdir(parents=True, exist_ok=True)
    Tokenizer(models.WordLevel({"<s>": 0, "he": 1, "sea": 2}, "<s>")).save(
        str(folder / "tokenizer.json")
    )
    config = {"model_type": "lmcore_dummy", "vocab_size": 3, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
