"""What a model goes on to write, and what it says of every token it takes: prompts go in, generated tokens and texts come out.

Every prompt is continued under every decoding and seed, in batches padded on the left, with the model's own KV cache. Which of them share
a batch is a function of prompts and params alone, and each draws its random numbers from its own stream, so the same input gives the
same texts. A continuation ends at a special token (`eos`), after `max_new_tokens` (`length`), or where the model's window is full
(`window`), unless it slides: then it goes on from the last half of the window.

Tables: GENERATED is one generated token, with the columns of TOKENS; `variant` is the decoding, `sample` the number of its seed,
`sampling_entropy` that of the truncated distribution the token was drawn from. `start` and `end` are characters in prompt + text.
"""

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from lmcore.errors import InputError
from lmcore.files import whole, write_json
from lmcore.generating.generation import encode_prompts
from lmcore.generating.repetition import distinct, repeated
from lmcore.generating.sampling import (
    Decoding,
    check_decoding,
    draw,
    entropy,
    random_numbers,
    truncated,
)
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
    """What a decoding has besides Decoding's fields."""

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


class Writing:
    """A continuation as it grows."""

    def __init__(self, task: Task):
        self.task, self.numbers = task, random_numbers(task.seed, task.item)
        self.context = list(task.ids)  # what the model sees
        self.rows: list[dict] = []
        self.stop_reason = ""


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
    """Write `out`/tokens.parquet (GENERATED) and `out`/generations.parquet, and statistics of every decoding to `metrics`.

    prompts: texts, or the path of a text file with one a line; threads: of torch, the bits depend on them; decodings: name: Decoding's
    fields and `seeds`. Raises InputError for settings out of range, and a prompt without a token.
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
    """The GENERATED and GENERATIONS tables, sorted by item, variant, sample and position."""
    if not 1 <= max_new_tokens <= MAX_NEW_TOKENS:
        raise InputError(f"max_new_tokens must be from 1 to {MAX_NEW_TOKENS}, not {max_new_tokens}")
    if at_window not in AT_WINDOW:
        raise InputError(f"at_window must be one of {', '.join(AT_WINDOW)}, not {at_window!r}")
    tokenizer, config = load_fast(model_path), read_causal_config(model_path)
    window = context_length(config)
    ids = encode_prompts(tokenizer, model_path, prompts, bos, window - 1)
    tasks = [
        Task(f"prompt/{number:04d}", variant, sample, seed, decoding, prompt, ids[number])
        for variant, (decoding, seeds) in _decodings(decodings).items()
        for sample, seed in enumerate(seeds)
        for number, prompt in enumerate(prompts)
    ]
    tasks.sort(key=lambda task: (len(task.ids), task.item, task.variant, task.sample))
    ends = {
        number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }
    pieces = [
        b"" if number in ends else piece for number, piece in enumerate(token_pieces(tokenizer))
    ]
    model = load_model(model_path)
    done = []
    for start in range(0, len(tasks), batch_size):
        batch = [Writing(task) for task in tasks[start : start + batch_size]]
        _write(model, batch, window, max_new_tokens, at_window == "slide", ends)
        done += batch
    done.sort(key=lambda writing: (writing.task.item, writing.task.variant, writing.task.sample))
    return _tables(done, pieces)


def read_prompts(prompts: list[str] | str) -> list[str]:
    """The prompts, or the lines of the file that is named, without empty ones. Raises InputError where there is none."""
    source = f"{prompts}: " if isinstance(prompts, str) else ""
    if isinstance(prompts, str):
        prompts = split_lines(
            read_text(Path(prompts), "a list of prompts, or a text file with one a line")
        )
    prompts = [prompt for prompt in prompts if prompt.strip()]
    if not prompts:
        raise InputError(
            f"{source}there are no prompts; expected a list of texts, or a text file with one a line"
        )
    return prompts


def statistics(tokens: pa.Table, texts: pa.Table, digits: int) -> dict:
    """Of each decoding: means over tokens, distinct-n, the share of repeated n-grams, and how many texts ended why."""
    found: dict[str, dict] = {}
    for variant in sorted(set(texts["variant"].to_pylist())):
        rows = [row for row in texts.to_pylist() if row["variant"] == variant]
        mask = np.array(tokens["variant"].to_pylist()) == variant
        written = [row["text"] for row in rows]
        means = {
            name: float(tokens[name].to_numpy()[mask].astype(np.float64).mean())
            for name in ("entropy", "sampling_entropy", "logprob")
        }
        shares = {f"distinct_{n}": distinct(written, n) for n in (1, 2, 3)} | {
            f"repeated_{n}": repeated(written, n) for n in (1, 2, 3, 4)
        }
        found[variant] = {
            name: float(f"{value:.{digits}g}") for name, value in {**means, **shares}.items()
        }
        found[variant] |= {
            "n_texts": len(rows),
            "n_tokens": int(mask.sum()),
            "stopped": dict(Counter(row["stop_reason"] for row in rows)),
        }
    return found


def _decodings(settings: Mapping[str, dict | None]) -> dict[str, tuple[Decoding, list[int]]]:
    """Raises InputError for an unknown key, a number out of range, or several seeds of greedy decoding."""
    found = {}
    for name, entry in settings.items():
        values = {key: value for key, value in (entry or {}).items() if key != "seeds"}
        if unknown := [key for key in values if key not in Decoding._fields]:
            raise InputError(
                f"decoding '{name}': unknown key '{unknown[0]}'; expected {', '.join(Decoding._fields)}, seeds"
            )
        decoding, seeds = Decoding(**values), list((entry or {}).get("seeds", [0]))
        check_decoding(name, decoding)
        if not seeds or (decoding.temperature == 0 and len(seeds) > 1):
            raise InputError(
                f"decoding '{name}': seeds must be a list of numbers; greedy decoding (temperature 0) takes one alone"
            )
        if wrong := [seed for seed in seeds if not -(2**63) <= seed < 2**63]:
            raise InputError(
                f"decoding '{name}': a seed must be a whole number of 64 bits, not {wrong[0]}"
            )
        found[name] = (decoding, seeds)
    if not found:
        raise InputError(
            "there are no decodings; expected e.g. {greedy: {}, sampled: {temperature: 0.8, seeds: [0, 1]}}"
        )
    return found


def _write(
    model, batch: list[Writing], window: int, max_new_tokens: int, slides: bool, ends: set[int]
) -> None:
    """Continue all of `batch` to their ends."""
    steps = _next_logits(model, batch, window)
    while not all(writing.stop_reason for writing in batch):
        logits = next(steps)
        logprobs = logits.log_softmax(1)
        of_model, top = entropy(logprobs), logprobs.max(1)
        chosen, of_sample = _choose(logits, batch)
        taken = logprobs.gather(1, chosen[:, None])
        ranks = 1 + (logits > logits.gather(1, chosen[:, None])).sum(1)
        values = torch.stack([taken[:, 0], of_model, top.values, of_sample], 1).tolist()
        for writing, token, numbers, rank, top_id in zip(
            batch, chosen.tolist(), values, ranks.tolist(), top.indices.tolist()
        ):
            if not writing.stop_reason:
                row = dict(zip(("logprob", "entropy", "top_logprob", "sampling_entropy"), numbers))
                writing.rows.append(
                    {
                        **row,
                        "current_id": writing.context[-1],
                        "next_id": token,
                        "rank": rank,
                        "top_id": top_id,
                    }
                )
            writing.context.append(token)
            if not writing.stop_reason:
                writing.stop_reason = _reason(writing, token, window, max_new_tokens, slides, ends)
        if slides and any(
            len(writing.context) >= window and not writing.stop_reason for writing in batch
        ):
            for writing in batch:
                writing.context = writing.context[-(window // 2) :]
            steps = _next_logits(model, batch, window)


def _reason(
    writing: Writing, token: int, window: int, max_new_tokens: int, slides: bool, ends: set[int]
) -> str:
    if token in ends:
        return "eos"
    if len(writing.rows) == max_new_tokens:
        return "length"
    return "window" if len(writing.context) >= window and not slides else ""


def _choose(logits: torch.Tensor, batch: list[Writing]) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens (B,) that are taken, and the entropies of the distributions they were drawn from."""
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


@torch.inference_mode()
def _next_logits(model, batch: list[Writing], window: int) -> Iterator[torch.Tensor]:
    """Logits (B, V) float32 of the next token of every context, again and again; the caller appends to the contexts in between."""
    accepted = inspect.signature(model.forward).parameters
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    longest = max(len(writing.context) for writing in batch)
    ids = torch.tensor(
        [[0] * (longest - len(writing.context)) + writing.context for writing in batch]
    )
    mask = torch.tensor(
        [[0] * (longest - len(writing.context)) + [1] * len(writing.context) for writing in batch]
    )
    inputs, cache = ids, None
    while True:
        # a text that has ended is carried along: its positions must stay in the window
        positions = (mask.cumsum(1) - 1).clamp(0, window - 1)[:, -inputs.shape[1] :]
        where = {"position_ids": positions} if "position_ids" in accepted else {}
        output = model(
            input_ids=inputs,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **where,
            **last_only,
        )
        yield output.logits[:, -1].detach().float()
        new = torch.tensor([writing.context[-1:] for writing in batch])
        ids, mask = torch.cat([ids, new], 1), torch.cat([mask, torch.ones_like(new)], 1)
        cache = getattr(output, "past_key_values", None)
        inputs = ids if cache is None else new


def _tables(done: list[Writing], pieces: list[bytes]) -> tuple[pa.Table, pa.Table]:
    tokens, texts = [], []
    for writing in done:
        task = writing.task
        sizes = np.cumsum([0] + [len(pieces[row["next_id"]]) for row in writing.rows])
        content = b"".join(pieces[row["next_id"]] for row in writing.rows)
        text = content.decode("utf-8", "replace")
        characters = np.array(
            [len(content[:size].decode("utf-8", "ignore")) for size in sizes]
        ) + len(task.prompt)
        shared = {
            "item": task.item,
            "draw": 0,
            "option": 0,
            "variant": task.variant,
            "is_target": True,
            "sample": task.sample,
        }
        n_before = len(task.ids) - 1
        for number, row in enumerate(writing.rows):
            spans = {"start": characters[number], "end": characters[number + 1]}
            tokens.append({**shared, "position": n_before + number, **spans, **row})
        texts.append(
            {name: getattr(task, name) for name in ("item", "variant", "sample", "seed", "prompt")}
        )
        texts[-1] |= {
            "text": text,
            "n_tokens": len(writing.rows),
            "stop_reason": writing.stop_reason,
        }
    columns = [pa.array([row[field.name] for row in tokens], field.type) for field in GENERATED]
    return check(pa.table(columns, GENERATED), GENERATED), check(
        pa.Table.from_pylist(texts, GENERATIONS), GENERATIONS
    )
