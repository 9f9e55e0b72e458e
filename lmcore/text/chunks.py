"""Cut documents into chunks of equal length.

The corpus and a tokenizer go in. Memory-mapped Arrow with rows of `seq_len` token ids comes out.

The documents of a split, in order, make one stream of tokens. The chunks and the reported tail
together are this stream, so it can be put together again and cut at another offset. It depends
neither on the file system nor on how many threads or hosts tokenise.
"""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from tokenizers import Tokenizer

from lmcore import cluster
from lmcore.corpus.documents import read_documents
from lmcore.errors import InputError
from lmcore.files import read_json_object, whole, write_json
from lmcore.machine.progress import Progress
from lmcore.params.ranges import RANGE, Line
from lmcore.text.token_losses import Losses
from lmcore.text.tokenizer import encode_texts, load_fast, lost_characters

COUNTS = "counts.json"
MOST_BYTES = 1 << 20
BATCH = 256  # documents that are tokenised together


def chunk_corpus(
    corpus: Path,
    tokenizer_path: Path,
    out: Path,
    *,
    seq_len: Annotated[int, Field(ge=2, le=2**20), RANGE],
    boundaries: Line | None,
    on_lost: Literal["fail", "count"],
) -> dict:
    """Write `out`/{train,dev}, the tails of the two splits and the counts; return the counts.

    Each split is a dataset with the column `input_ids`, seq_len ids a row. Its counts are those of
    its tokens, chunks and words (separated by whitespace, as BabyLM counts). `boundaries` is the
    token before every document, or null (the published BabyLlama recipe). Characters that the
    tokenizer drops `fail` the stage or are counted (`on_lost: count`).

    Raises InputError for dropped characters, for an id that is no token, and for a split shorter
    than one chunk.
    """
    from datasets import disable_progress_bars

    disable_progress_bars()
    if on_lost not in ("fail", "count"):
        raise InputError(f"chunk_corpus: unknown on_lost '{on_lost}'; expected fail or count")
    tokenizer = load_fast(tokenizer_path)
    boundary = _boundary_id(tokenizer, boundaries)
    counts: dict[str, dict] = {}
    tails = {}
    with whole(out) as folder:
        folder.mkdir()
        for split in ("train", "dev"):
            documents = read_documents(corpus / f"{split}.parquet")
            ids, n_lost = _stream(tokenizer, documents, boundary, on_lost)
            n_chunks = _save_chunks(ids, seq_len, folder, split)
            tails[split] = ids[n_chunks * seq_len :].tolist()
            counts[split] = {
                "tokens": len(ids),
                "chunks": n_chunks,
                "tail_tokens": len(tails[split]),
                "lost_characters": n_lost,
                "words": sum(len(row["text"].split()) for row in documents),
            }
        write_json(tails, folder / "tails.json")
        write_json(counts, folder / COUNTS)
    return counts


def _boundary_id(tokenizer: Tokenizer, boundaries: str | None) -> int | None:
    """The id of the token `boundaries`; raises InputError where the tokenizer does not have it."""
    if boundaries is None:
        return None
    boundary = tokenizer.token_to_id(boundaries)
    if boundary is None:
        raise InputError(
            f"chunk_corpus: boundaries must be a token of the tokenizer or null, not '{boundaries}'"
        )
    return boundary


def _save_chunks(ids: np.ndarray, seq_len: int, folder: Path, split: str) -> int:
    """Write the chunks of the stream `ids` as the dataset `folder`/SPLIT; return their number.

    Raises InputError where there is none.
    """
    from datasets import Dataset

    n_chunks = len(ids) // seq_len
    if not n_chunks:
        raise InputError(
            f"chunk_corpus: the {split} split has {len(ids)} tokens, "
            f"fewer than one chunk of seq_len {seq_len}"
        )
    rows = pa.FixedSizeListArray.from_arrays(pa.array(ids[: n_chunks * seq_len]), seq_len)
    table = pa.table({"input_ids": rows.cast(pa.list_(pa.int32()))})
    # without one, `datasets` draws a fingerprint at random, and the folder would differ each time
    fingerprint = hashlib.sha256(ids.tobytes()).hexdigest()[:16]
    Dataset(table, fingerprint=fingerprint).save_to_disk(folder / split, num_shards=1)
    return n_chunks


def read_chunks(path: Path) -> np.ndarray:
    """The chunks of one split, (n_chunks, seq_len) int32, memory-mapped: nothing is copied.

    Raises InputError where there are none.
    """
    from datasets import load_from_disk

    if not path.exists():
        raise InputError(f"{path}: no chunks here; expected the output of chunk_corpus")
    column = load_from_disk(path).data.column("input_ids")
    length = len(column[0])
    arrays = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in column.chunks]
    return (arrays[0] if len(arrays) == 1 else np.concatenate(arrays)).reshape(-1, length)


def read_words(chunks: Path) -> int:
    """The words of the train split in the folder that `chunk_corpus` wrote.

    Raises InputError where it does not say.
    """
    counts = read_json_object(chunks / COUNTS, "counts of the chunks", MOST_BYTES)
    words = counts.get("train", {}).get("words")
    if not isinstance(words, int) or words < 1:
        raise InputError(
            f"{chunks / COUNTS}: no number of words in the train split; run the stage chunk_corpus"
        )
    return words


def _stream(
    tokenizer: Tokenizer, documents: list[dict], boundary: int | None, on_lost: str
) -> tuple[np.ndarray, int]:
    """The token ids (N,) int32 of a split's documents, and how many characters were lost.

    Each batch of documents is tokenised by all cores at once or, with LMCORE_ENGINE=ray, by one
    task of the cluster.
    """
    batches = [documents[start : start + BATCH] for start in range(0, len(documents), BATCH)]
    results: Iterable[tuple[int, tuple[np.ndarray, int]]]
    if cluster.is_wanted():
        settings = tokenizer.to_str(), boundary, on_lost
        results = cluster.run(_tokenise_there, _facts, batches, *settings)
    else:
        losses = Losses(tokenizer)
        tokenise = functools.partial(_tokenise, tokenizer, losses, boundary, on_lost)
        results = enumerate(map(tokenise, batches))
    ids: list[np.ndarray] = [np.array([], np.int32)] * len(batches)
    n_lost = 0
    with Progress(len(documents), "tokenise", "document") as progress:
        for number, (ids_of_batch, n_of_batch) in results:
            ids[number] = ids_of_batch
            n_lost += n_of_batch
            progress.advance(len(batches[number]))
    return np.concatenate(ids), n_lost


def _facts() -> cluster.Facts:
    """What the ids depend on besides the tokenizer and the text."""
    return cluster.versions("tokenizers")


def _tokenise_there(
    tokenizer: str, boundary: int | None, on_lost: str, documents: list[dict]
) -> tuple[np.ndarray, int]:
    """`_tokenise` on a host of the cluster; `tokenizer` is its JSON."""
    return _tokenise(*_opened(tokenizer), boundary, on_lost, documents)


@functools.lru_cache(maxsize=1)
def _opened(tokenizer: str) -> tuple[Tokenizer, Losses]:
    """A tokenizer from its JSON, and what it loses."""
    opened = Tokenizer.from_str(tokenizer)
    return opened, Losses(opened)


def _tokenise(
    tokenizer: Tokenizer, losses: Losses, boundary: int | None, on_lost: str, documents: list[dict]
) -> tuple[np.ndarray, int]:
    """The token ids (N,) int32 of some documents, and how many of their characters were lost.

    Raises InputError naming the document as `chunk_corpus`.
    """
    vocab_size = tokenizer.get_vocab_size()
    names = [f"chunk_corpus: document '{row['document']}'" for row in documents]
    texts = [row["text"] for row in documents]
    encodings = encode_texts(tokenizer, texts, names.__getitem__, add_special_tokens=False)
    ids_of_documents: list[np.ndarray] = []
    n_lost = 0
    for name, text, encoding in zip(names, texts, encodings, strict=True):
        ids = encoding.ids
        if any(i is None or not 0 <= i < vocab_size for i in ids):
            raise InputError(
                f"{name}: a token id is None or not in [0, {vocab_size:,}); the tokenizer is broken"
            )
        n_dropped = lost_characters(tokenizer, text, encoding, losses)
        if n_dropped and on_lost == "fail":
            raise InputError(
                f"{name}: the tokenizer cannot represent {n_dropped} of its characters;"
                " set `on_lost: count` to accept that"
            )
        n_lost += n_dropped
        ids_of_documents.append(np.array(ids if boundary is None else [boundary, *ids], np.int32))
    return np.concatenate(ids_of_documents), n_lost
