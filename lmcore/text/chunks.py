"""From documents to equal chunks: the corpus and a tokenizer go in, memory-mapped Arrow of `seq_len` token ids a row comes out.

The documents of a split, in order, make one stream of tokens; chunks and the reported tail are a partition of it, so the stream can be put
together again and cut at another offset. It does not depend on the file system, nor on how many threads tokenise.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from tokenizers import Encoding, Tokenizer
from tqdm import tqdm

from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import whole, write_json
from lmcore.params.ranges import RANGE, Line
from lmcore.text.token_losses import Losses
from lmcore.text.tokenizer import encode_texts, load_fast, lost_characters


def chunk_corpus(
    corpus: Path,
    tokenizer_path: Path,
    out: Path,
    *,
    seq_len: Annotated[int, Field(ge=2, le=2**20), RANGE],
    boundaries: Line | None,
    on_lost: Literal["fail", "count"],
) -> dict:
    """Write `out`/{train,dev} (datasets with the column `input_ids`, seq_len ids a row) and the tails; return the counts.

    `boundaries` is the token before every document, or null (the published BabyLlama recipe). Characters that the tokenizer drops `fail`
    the stage or are counted (`on_lost: count`). Raises InputError for them, for an id that is no token, and for a split shorter than one
    chunk.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    if on_lost not in ("fail", "count"):
        raise InputError(f"chunk_corpus: unknown on_lost '{on_lost}'; expected fail or count")
    tokenizer = load_fast(tokenizer_path)
    boundary = None if boundaries is None else tokenizer.token_to_id(boundaries)
    if boundaries is not None and boundary is None:
        raise InputError(f"chunk_corpus: boundaries: the tokenizer has no token '{boundaries}'")
    counts: dict[str, dict] = {}
    tails = {}
    with whole(out) as folder:
        folder.mkdir()
        for split in ("train", "dev"):
            ids, lost = _stream(tokenizer, corpus / f"{split}.parquet", boundary, on_lost)
            n_chunks = len(ids) // seq_len
            if not n_chunks:
                raise InputError(
                    f"chunk_corpus: the {split} split has {len(ids)} tokens, fewer than one chunk of seq_len {seq_len}"
                )
            rows = pa.FixedSizeListArray.from_arrays(
                pa.array(ids[: n_chunks * seq_len]), seq_len
            ).cast(pa.list_(pa.int32()))
            # left to itself, `datasets` draws a fingerprint by chance, and the folder would differ from run to run
            Dataset(
                pa.table({"input_ids": rows}),
                fingerprint=hashlib.sha256(ids.tobytes()).hexdigest()[:16],
            ).save_to_disk(folder / split, num_shards=1)
            tails[split] = ids[n_chunks * seq_len :].tolist()
            counts[split] = {
                "tokens": len(ids),
                "chunks": n_chunks,
                "tail_tokens": len(tails[split]),
                "lost_characters": lost,
            }
        write_json(tails, folder / "tails.json")
    return counts


def read_chunks(path: Path) -> np.ndarray:
    """The chunks of one split (n_chunks, seq_len) int32, memory-mapped: reading costs no copy."""
    from datasets import load_from_disk

    if not path.exists():
        raise InputError(f"{path}: no chunks here; expected the output of chunk_corpus")
    column = load_from_disk(path).data.column("input_ids")
    length = len(column[0])
    arrays = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in column.chunks]
    return (arrays[0] if len(arrays) == 1 else np.concatenate(arrays)).reshape(-1, length)


def _stream(
    tokenizer: Tokenizer, path: Path, boundary: int | None, on_lost: str
) -> tuple[np.ndarray, int]:
    """All token ids (N,) int32 of a split's documents, and how many characters the tokenizer lost."""
    vocab_size, losses = tokenizer.get_vocab_size(), Losses(tokenizer)
    parts: list[np.ndarray] = []
    lost = 0
    for name, text, encoding in _encoded(tokenizer, read_documents(path)):
        ids = encoding.ids
        if any(i is None or not 0 <= i < vocab_size for i in ids):
            raise InputError(
                f"chunk_corpus: document '{name}': a token id is None or not in [0, {vocab_size:,}); the tokenizer is broken"
            )
        dropped = lost_characters(tokenizer, text, encoding, losses)
        if dropped and on_lost == "fail":
            raise InputError(
                f"chunk_corpus: document '{name}': the tokenizer loses {dropped} characters of it; `on_lost: count` accepts that"
            )
        lost += dropped
        parts.append(np.array(ids if boundary is None else [boundary, *ids], np.int32))
    return np.concatenate(parts), lost


def _encoded(tokenizer: Tokenizer, documents: list[dict]) -> Iterator[tuple[str, str, Encoding]]:
    """(document, text, encoding) in order; each batch is tokenised by all cores at once."""
    with tqdm(total=len(documents), desc="tokenise", unit="document", disable=None) as bar:
        for start in range(0, len(documents), 256):
            batch = documents[start : start + 256]
            names = [f"chunk_corpus: document '{row['document']}'" for row in batch]
            encodings = encode_texts(
                tokenizer,
                [row["text"] for row in batch],
                names.__getitem__,
                add_special_tokens=False,
            )
            yield from (
                (row["document"], row["text"], encoding)
                for row, encoding in zip(batch, encodings, strict=True)
            )
            bar.update(len(batch))
