"""What a model writes after prompts, and what it says of every token it takes.

Prompts go in, generated tokens and texts come out.

Every prompt is continued under every decoding and seed, in batches padded on the left, with the
model's own KV cache. Which of them share a batch is a function of prompts and params alone, and
each draws its random numbers from its own stream, so the same input gives the same texts. A
continuation ends at a special token (`eos`), after `max_new_tokens` (`length`), or where the
model's window is full (`window`). If it slides, it goes on from the last half of a full window.

Tables: a row of GENERATED is one generated token, with the columns of TOKENS. `variant` is the
decoding, `sample` the number of its seed. `sampling_entropy` is the entropy of the truncated
distribution that the token was drawn from. `start` and `end` are characters in prompt + text.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from lmcore import cluster
from lmcore.errors import InputError
from lmcore.files import whole, write_json
from lmcore.generating.generation import encode_prompts, next_logits, special_ids
from lmcore.generating.repetition import distinct, repeated
from lmcore.generating.sampling import (
    Decoding,
    check_decoding,
    draw,
    entropy,
    random_numbers,
    truncated,
)
from lmcore.machine.progress import Progress
from lmcore.models.config import context_length
from lmcore.models.folder import read_causal_config
from lmcore.models.load import load_model
from lmcore.params.ranges import (
    RANGE,
    Bos,
    Count,
    Digits,
    Expected,
    Line,
    Name,
    Processes,
    Prompt,
    Seeds,
)
from lmcore.params.schema import mapping, together
from lmcore.tables import GENERATED, GENERATIONS, check, write
from lmcore.text.readable import token_pieces
from lmcore.text.tokenizer import load_fast
from lmcore.text_files import read_text, split_lines

AT_WINDOW = ("stop", "slide")
TEXT_KEYS = ("item", "variant", "sample", "seed", "prompt")  # of Task, in GENERATIONS
MAX_NEW_TOKENS = 4096
NewTokens = Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS), RANGE]
Prompts = Annotated[
    Annotated[list[Prompt], Field(min_length=1)] | Line,
    Expected("a list of texts, or the path of a text file"),
]


def check_seeds(*, temperature: float = 0.0, seeds: list[int] | None = None, **others) -> None:
    """Raises InputError for several seeds of greedy decoding, whose texts would be the same."""
    if temperature == 0 and len(seeds or [0]) > 1:
        raise InputError("greedy decoding (temperature 0) takes one seed alone")


@together(check_seeds)
class Repeated(TypedDict, total=False):
    """What an entry of `decodings` has besides Decoding's fields."""

    seeds: Seeds


Decodings = Annotated[
    dict[Name, Annotated[dict, mapping(Decoding, Repeated)] | None], Field(min_length=1)
]


class Task(NamedTuple):
    """One continuation to write."""

    item: str
    variant: str
    sample: int
    seed: int
    decoding: Decoding
    prompt: str
    ids: list[int]


class Limits(NamedTuple):
    """Where continuations end."""

    window: int  # tokens
    max_new_tokens: int
    slides: bool  # goes on where the window is full
    ends: set[int]  # ids of special tokens


class Writing:
    """A continuation as it grows."""

    def __init__(self, task: Task):
        self.task, self.numbers = task, random_numbers(task.seed, task.item)
        self.context = list(task.ids)  # what the model sees
        self.rows: list[dict] = []  # of each token what the model says, by columns of GENERATED
        self.stop_reason = ""  # empty while it goes on


def generate_tokens(
    model: Path,
    out: Path,
    metrics: Path,
    *,
    prompts: Prompts,
    bos: Bos,
    max_new_tokens: NewTokens,
    at_window: Literal["stop", "slide"],
    batch_size: Count,
    threads: Processes,
    decodings: Decodings,
    digits: Digits,
) -> None:
    """Write `out`/tokens.parquet (GENERATED), `out`/generations.parquet and the file `metrics`.

    `metrics` gets statistics of every decoding.

    prompts: texts, or the path of a text file with one a line; threads: of torch, the bits depend
    on them; decodings: name: Decoding's fields and `seeds`.

    Raises InputError for settings out of range, and for a prompt without a token.
    """
    torch.set_num_threads(threads)
    tokens, texts = generate(
        model, read_prompts(prompts), bos, max_new_tokens, at_window, batch_size, decodings
    )
    with whole(out) as folder:
        write(tokens, GENERATED, folder / "tokens.parquet")
        write(texts, GENERATIONS, folder / "generations.parquet")
    write_json(statistics(tokens, texts, digits), metrics)


def generate(
    model_path: Path,
    prompts: list[str],
    bos: str,
    max_new_tokens: int,
    at_window: str,
    batch_size: int,
    decodings: Mapping[str, dict | None],
) -> tuple[pa.Table, pa.Table]:
    """The GENERATED and GENERATIONS tables, sorted by item, variant, sample and position.

    Raises InputError for settings out of range, and for a prompt without a token.
    """
    if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
        raise InputError(f"max_new_tokens must be from 1 to {MAX_NEW_TOKENS}, not {max_new_tokens}")
    if at_window not in AT_WINDOW:
        raise InputError(f"at_window must be one of {', '.join(AT_WINDOW)}, not {at_window!r}")
    tokenizer, window = load_fast(model_path), context_length(read_causal_config(model_path))
    limits = Limits(window, max_new_tokens, at_window == "slide", special_ids(tokenizer))
    ids = encode_prompts(tokenizer, model_path, prompts, bos, window - 1)
    tasks = _tasks(prompts, ids, _decodings(decodings))
    tasks.sort(key=lambda task: (len(task.ids), task.item, task.variant, task.sample))
    # special tokens end a text and are no part of it
    pieces = [
        b"" if number in limits.ends else piece
        for number, piece in enumerate(token_pieces(tokenizer))
    ]
    done: list[Writing] = []
    batches = [tasks[start : start + batch_size] for start in range(0, len(tasks), batch_size)]
    with Progress(len(tasks), "generate", "text", lines=False) as progress:
        for batch in _written(model_path, batches, limits):
            done += batch
            progress.advance(len(batch))
    done.sort(key=lambda writing: (writing.task.item, writing.task.variant, writing.task.sample))
    return _tables(done, pieces)


def read_prompts(prompts: list[str] | str) -> list[str]:
    """The prompts, or the lines of the file that is named, without empty ones.

    Raises InputError where there is no prompt.
    """
    source = f"{prompts}: " if isinstance(prompts, str) else ""
    if isinstance(prompts, str):
        prompts = split_lines(
            read_text(Path(prompts), "a list of prompts, or a text file with one a line")
        )
    prompts = [prompt for prompt in prompts if prompt.strip()]
    if not prompts:
        raise InputError(
            f"{source}there are no prompts; "
            "expected a list of texts, or a text file with one a line"
        )
    return prompts


def statistics(tokens: pa.Table, texts: pa.Table, digits: int) -> dict:
    """Statistics of each decoding, rounded to `digits` significant digits.

    They are means over tokens, distinct-n, the share of repeated n-grams, the numbers of texts and
    tokens, and how many texts ended for which reason.
    """
    by_variant: dict[str, list[dict]] = {}
    for row in texts.to_pylist():
        by_variant.setdefault(row["variant"], []).append(row)
    variants = np.array(tokens["variant"].to_pylist())
    values = {}
    for variant, rows in sorted(by_variant.items()):
        is_own = variants == variant
        values[variant] = {
            **_token_means(tokens, is_own, digits),
            **_repetition([row["text"] for row in rows], digits),
            "n_texts": len(rows),
            "n_tokens": int(is_own.sum()),
            "stopped": dict(Counter(row["stop_reason"] for row in rows)),
        }
    return values


def _token_means(tokens: pa.Table, mask: np.ndarray, digits: int) -> dict[str, float]:
    """Means over the tokens of `mask` (N,), in nats."""
    means = {}
    for name in ("entropy", "sampling_entropy", "logprob"):
        mean = tokens[name].to_numpy()[mask].astype(np.float64).mean()
        means[name] = _rounded(float(mean), digits)
    return means


def _repetition(texts: list[str], digits: int) -> dict[str, float]:
    """How varied and how repetitive the texts are."""
    shares = {f"distinct_{n}": distinct(texts, n) for n in (1, 2, 3)}
    shares |= {f"repeated_{n}": repeated(texts, n) for n in (1, 2, 3, 4)}
    return {name: _rounded(share, digits) for name, share in shares.items()}


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _decodings(settings: Mapping[str, dict | None]) -> dict[str, tuple[Decoding, list[int]]]:
    """Each decoding by its name, with its seeds.

    Raises InputError for an unknown key, a number out of range, several seeds of greedy decoding,
    or no decoding at all.
    """
    decodings = {}
    for name, entry in settings.items():
        values = {key: value for key, value in (entry or {}).items() if key != "seeds"}
        if unknown := [key for key in values if key not in Decoding._fields]:
            raise InputError(
                f"decoding '{name}': unknown key '{unknown[0]}'; "
                f"expected {', '.join(Decoding._fields)}, seeds"
            )
        decoding, seeds = Decoding(**values), list((entry or {}).get("seeds", [0]))
        check_decoding(name, decoding)
        _check_seeds_of(name, decoding, seeds)
        decodings[name] = (decoding, seeds)
    if not decodings:
        raise InputError(
            "there are no decodings; "
            "expected e.g. {greedy: {}, sampled: {temperature: 0.8, seeds: [0, 1]}}"
        )
    return decodings


def _check_seeds_of(name: str, decoding: Decoding, seeds: list[int]) -> None:
    """Raises InputError for no seed, for several of a greedy decoding, and for one out of range."""
    if not seeds or (decoding.temperature == 0 and len(seeds) > 1):
        raise InputError(
            f"decoding '{name}': seeds must be a list of numbers; "
            "greedy decoding (temperature 0) takes one alone"
        )
    if wrong := [seed for seed in seeds if not -(2**63) <= seed < 2**63]:
        raise InputError(
            f"decoding '{name}': a seed must be a whole number of 64 bits, not {wrong[0]}"
        )


def _tasks(
    prompts: list[str], ids: list[list[int]], decodings: dict[str, tuple[Decoding, list[int]]]
) -> list[Task]:
    """Every prompt, with its `ids`, under every decoding and seed."""
    tasks = []
    for variant, (decoding, seeds) in decodings.items():
        for sample, seed in enumerate(seeds):
            for number, prompt in enumerate(prompts):
                item = f"prompt/{number:04d}"
                tasks.append(Task(item, variant, sample, seed, decoding, prompt, ids[number]))
    return tasks


def _written(
    model_path: Path, batches: list[list[Task]], limits: Limits
) -> Iterator[list[Writing]]:
    """The continuations of each batch, as they are done: here, or on the cluster."""
    if not cluster.is_wanted():
        model = load_model(model_path)
        for batch in batches:
            yield _continued(model, batch, limits)
        return
    threads = torch.get_num_threads()
    shared = cluster.SharedFolder(model_path), limits, threads
    for _, batch in cluster.run(_continued_there, _facts, batches, *shared, cores=threads):
        yield batch


def _facts() -> cluster.Facts:
    """What the last bits of a host's results depend on."""
    found = {"device": torch.backends.cpu.get_cpu_capability(), "processor": cluster.maker()}
    return found | cluster.versions("torch", "transformers", "tokenizers")


def _continued_there(
    model: cluster.SharedFolder, limits: Limits, threads: int, tasks: list[Task]
) -> list[Writing]:
    """`_continued` on a host of the cluster."""
    torch.set_num_threads(threads)
    return _continued(_opened(model.here()), tasks, limits)


_opened = lru_cache(maxsize=1)(load_model)  # by a process of the cluster


def _continued(model, tasks: list[Task], limits: Limits) -> list[Writing]:
    """The continuations of a batch, written to their ends."""
    batch = [Writing(task) for task in tasks]
    _write(model, batch, limits)
    return batch


def _write(model, batch: list[Writing], limits: Limits) -> None:
    """Continue all of `batch` to their ends."""
    steps = _next_logits(model, batch, limits)
    while not all(writing.stop_reason for writing in batch):
        for writing, row in zip(batch, _take_tokens(next(steps), batch), strict=True):
            is_running = not writing.stop_reason
            if is_running:
                writing.rows.append({**row, "current_id": writing.context[-1]})
            # a text that has ended is carried along with the others
            writing.context.append(row["next_id"])
            if is_running:
                writing.stop_reason = _stop_reason(writing, limits)
        if limits.slides and any(_is_at_window(writing, limits) for writing in batch):
            for writing in batch:
                writing.context = writing.context[-(limits.window // 2) :]
            steps = _next_logits(model, batch, limits)


def _next_logits(model, batch: list[Writing], limits: Limits) -> Iterator[torch.Tensor]:
    return next_logits(model, [writing.context for writing in batch], limits.window)


def _take_tokens(logits: torch.Tensor, batch: list[Writing]) -> list[dict]:
    """The next token of each text from logits (B, V), and what the model says of it."""
    logprobs = logits.log_softmax(1)
    top = logprobs.max(1)
    chosen, sampling_entropies = _choose(logits, batch)
    n_larger = (logits > logits.gather(1, chosen[:, None])).sum(1)
    columns = {
        "next_id": chosen,
        "logprob": logprobs.gather(1, chosen[:, None])[:, 0],
        "entropy": entropy(logprobs),
        "rank": 1 + n_larger,
        "top_id": top.indices,
        "top_logprob": top.values,
        "sampling_entropy": sampling_entropies,
    }
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]


def _stop_reason(writing: Writing, limits: Limits) -> str:
    """Why a text ends after its last token; empty where it goes on."""
    if writing.context[-1] in limits.ends:
        return "eos"
    if len(writing.rows) == limits.max_new_tokens:
        return "length"
    return "window" if len(writing.context) >= limits.window and not limits.slides else ""


def _is_at_window(writing: Writing, limits: Limits) -> bool:
    """Whether a text goes on and fills the window."""
    return len(writing.context) >= limits.window and not writing.stop_reason


def _choose(logits: torch.Tensor, batch: list[Writing]) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens (B,) that are taken, and the entropies (B,) of what they were drawn from."""
    chosen, entropies = torch.zeros(len(batch), dtype=torch.long), torch.zeros(len(batch))
    for decoding in dict.fromkeys(writing.task.decoding for writing in batch):
        rows = [row for row, writing in enumerate(batch) if writing.task.decoding == decoding]
        cut = truncated(logits[rows], decoding)
        if decoding.temperature == 0:
            chosen[rows] = cut.argmax(1)
            continue
        uniform = np.array([batch[row].numbers.random() for row in rows])
        chosen[rows], entropies[rows] = torch.from_numpy(draw(cut, uniform)), entropy(cut)
    return chosen, entropies


def _tables(done: list[Writing], pieces: list[bytes]) -> tuple[pa.Table, pa.Table]:
    """The GENERATED and GENERATIONS tables; `pieces` are the bytes of each id."""
    tokens: list[dict] = []
    texts: list[dict] = []
    for writing in done:
        written = [pieces[row["next_id"]] for row in writing.rows]
        tokens += _token_rows(writing, written)
        texts.append(
            {
                **{key: getattr(writing.task, key) for key in TEXT_KEYS},
                "text": b"".join(written).decode("utf-8", "replace"),
                "n_tokens": len(writing.rows),
                "stop_reason": writing.stop_reason,
            }
        )
    columns = []
    for field in GENERATED:
        columns.append(pa.array([row[field.name] for row in tokens], field.type))
    generated = check(pa.table(columns, GENERATED), GENERATED)
    return generated, check(pa.Table.from_pylist(texts, GENERATIONS), GENERATIONS)


def _token_rows(writing: Writing, written: list[bytes]) -> list[dict]:
    """The rows of GENERATED of one text; `written` are the bytes of its tokens."""
    task = writing.task
    shared = {
        "item": task.item,
        "draw": 0,
        "option": 0,
        "variant": task.variant,
        "is_target": True,
        "sample": task.sample,
    }
    content, n_bytes = b"".join(written), 0
    rows, start = [], len(task.prompt)
    for number, (row, piece) in enumerate(zip(writing.rows, written, strict=True)):
        n_bytes += len(piece)
        # a character belongs to the token that brings its last byte
        end = len(task.prompt) + len(content[:n_bytes].decode("utf-8", "ignore"))
        position = len(task.ids) - 1 + number
        rows.append({**shared, **row, "position": position, "start": start, "end": end})
        start = end
    return rows
