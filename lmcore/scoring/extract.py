"""A model's token table of a suite, in shards: killed at any moment and run again, it goes on at the first missing shard and ends in the
same bytes.

A shard is a run of whole items, or of windows of a long text, scored alone and written to the work folder, which is keyed by the hash of
all that decides its bytes: model folder, items file, params, code, engine. So shards are never another model's. When all are there, they
become the folder `out`, whole.

On GPUs one process a card scores shards; while the card computes one, the next is planned and the one before is written.
On a CPU several processes of one thread score shards, forked from one that has loaded the model, so that they share its weights; how many
(environment LMCORE_WORKERS, else the cores) changes no byte. They die with their parent; a second run of the same work waits for the first.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from itertools import pairwise
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import torch
from tqdm import tqdm

from lmcore.errors import InputError
from lmcore.files import sha256, whole
from lmcore.kept_files import find, keep, locked
from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.processes import end_with_parent
from lmcore.machine.threads import one_thread
from lmcore.params.ranges import Count
from lmcore.scoring import kernels
from lmcore.scoring.engine import Engine, Planned, engine_name
from lmcore.scoring.overlap import overlapped
from lmcore.scoring.writer import write_tokens
from lmcore.shown import for_terminal
from lmcore.tables import ITEM_KEY, ITEMS, read, scoring_of

SHARDS_AHEAD = 16  # that a GPU's process takes at a time
LINE_SECONDS = 30  # between progress lines where there is no terminal


def extract_tokens(
    model: Path,
    items: Path,
    out: Path,
    work: Path,
    code: str,
    *,
    dtype: Literal["float32", "bfloat16"],
    token_budget: Count,
    shard_chars: Count,
    gpu_token_budget: Count = 32_768,
) -> None:
    """Write the token table of the items file by the model folder to the folder `out` as part-00000.parquet ...

    `work` keeps finished shards between runs; `code` is the fingerprint of the code; dtype: of the model's body, float32 or bfloat16;
    token_budget and gpu_token_budget: rows a forward pass, on a CPU and on a GPU; shard_chars: about how many characters of text a
    shard holds at most. Raises InputError naming the file or item that cannot be used.
    """
    table = read(items, ITEMS)
    _check_order(table, items)
    budget = gpu_token_budget if kernels.choose() == "cuda" else token_budget
    params = {"dtype": dtype, "token_budget": budget, "shard_chars": shard_chars}
    decisive = {
        "model": sha256(model),
        "items": sha256(items),
        "code": code,
        "engine": engine_name(dtype),
        "torch": torch.__version__.split("+")[0],
        "transformers": version("transformers"),
        **params,
    }
    folder = (
        work
        / "tokens"
        / hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]
    )
    with locked(folder):
        engine = Engine(model, scoring_of(table), dtype, budget)
        jobs = [
            (shard, folder / f"part-{number:05d}.parquet")
            for number, shard in enumerate(shards(table, shard_chars, engine))
        ]
        kept = {part: find(part) for _, part in jobs}
        if missing := [job for job in jobs if not kept[job[1]]]:
            folder.mkdir(parents=True, exist_ok=True)
            with one_thread():  # forked processes must not inherit a pool of threads
                score_shards(engine, table, missing, for_terminal(f"{model.name} {items.stem}"))
        with whole(out) as temporary:
            temporary.mkdir()
            for _, part in jobs:
                if not (file := kept[part] or find(part)):
                    raise InputError(
                        f"{part}: cannot be read back as it was written; run again, on another disk if this goes on"
                    )
                _link(file, temporary / part.name)
        shutil.rmtree(folder)


class Shard(NamedTuple):
    """Rows start..stop of an items table; with n_parts > 1, a part of that row's windows."""

    start: int
    stop: int
    part: int = 0
    n_parts: int = 1


Job = tuple[Shard, Path]  # a shard, and as what it is kept


def shards(items: pa.Table, shard_chars: int, engine: Engine) -> list[Shard]:
    """Runs of whole items of about equal size, at most `shard_chars` characters or one item; a longer text is cut between its windows.

    A text that is scored in several draws stays whole, since its rows are sorted by draw.
    """
    names = items["item"].to_pylist()
    lengths = [
        len(context) + len(target)
        for context, target in zip(items["context"].to_pylist(), items["target"].to_pylist())
    ]
    starts = [0, *(row for row in range(1, len(names)) if names[row] != names[row - 1]), len(names)]
    found: list[Shard] = []
    run: list[tuple[int, int, int]] = []  # start, stop, characters of items that go together
    for start, stop in pairwise(starts):
        size = sum(lengths[start:stop])
        if size > shard_chars and stop - start == 1 and engine.n_draws == 1:
            n_parts = min(-(-size // shard_chars), engine.count_windows(items.slice(start, 1)))
            found += [
                *_runs(run, shard_chars),
                *(Shard(start, stop, part, n_parts) for part in range(n_parts)),
            ]
            run = []
        else:
            run.append((start, stop, size))
    return found + _runs(run, shard_chars)


def _runs(run: list[tuple[int, int, int]], shard_chars: int) -> list[Shard]:
    """Shards of these items, of about equal size: a small last one would leave processes idle."""
    total, done, found = sum(size for _, _, size in run), 0, list[Shard]()
    goal = total / max(1, -(-total // shard_chars))
    begin = None
    for start, stop, size in run:
        begin = start if begin is None else begin
        done += size
        if done >= goal * (len(found) + 1) - 0.5:
            found.append(Shard(begin, stop))
            begin = None
    return found if begin is None else [*found, Shard(begin, run[-1][1])]


def count_workers() -> int:
    """How many processes score at once: LMCORE_WORKERS, else the cores this process may use."""
    value = os.environ.get("LMCORE_WORKERS", "")
    if value and not (value.isdecimal() and int(value) > 0):
        raise InputError(f"LMCORE_WORKERS must be a whole number from 1, not {value!r}")
    return (
        int(value)
        if value
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def score_shards(engine: Engine, items: pa.Table, jobs: list[Job], label: str) -> None:
    """Score each shard and keep it as its path: on a CPU in as many processes as `count_workers` says, else in one for each GPU.

    Raises OSError where a process was killed.
    """
    on_gpus = engine.kernel == "cuda"
    n_workers = min(torch.cuda.device_count() if on_gpus else count_workers(), len(jobs))
    if n_workers == 1 or not on_gpus:
        engine.load()
    print(f"{label}: {engine.name}, {n_workers} process{'es' * (n_workers > 1)}", file=sys.stderr)
    if n_workers == 1:
        keep_freed_memory()
        _watch(_in_turn(engine, items, jobs, on_gpus), len(jobs), label)
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    size = SHARDS_AHEAD if on_gpus else 1
    with (_pool_on_cards if on_gpus else _pool_of_forks)(engine, items, n_workers) as pool:
        futures = [
            pool.submit(_score_here, jobs[first : first + size])
            for first in range(0, len(jobs), size)
        ]
        try:
            _watch(
                (count for future in as_completed(futures) for count in future.result()),
                len(jobs),
                label,
            )
        except BrokenProcessPool as error:
            raise OSError(
                f"{label}: a scoring process was killed (out of memory?); run again, with fewer LMCORE_WORKERS, to go on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _pool_of_forks(engine: Engine, items: pa.Table, n_workers: int) -> ProcessPoolExecutor:
    """Processes that find model and items in memory, so that neither is copied."""
    return ProcessPoolExecutor(
        n_workers, multiprocessing.get_context("fork"), _start, (engine, items, os.getpid())
    )


def _pool_on_cards(engine: Engine, items: pa.Table, n_workers: int) -> ProcessPoolExecutor:
    """Processes of which each opens the model on a GPU of its own; forked ones could not use CUDA."""
    context = multiprocessing.get_context("spawn")
    cards = context.SimpleQueue()
    for card in range(n_workers):
        cards.put(card)
    return ProcessPoolExecutor(
        n_workers, context, _start_on_card, (engine, items, os.getpid(), cards)
    )


def _in_turn(engine: Engine, items: pa.Table, jobs: list[Job], overlap: bool) -> Iterator[int]:
    """Score and keep shards; of each how many rows it has. With `overlap` a GPU need not wait for the host before and after each."""

    def plan(job: Job) -> tuple[pa.Table, Planned]:
        shard, _ = job
        part = items.slice(shard.start, shard.stop - shard.start)
        return part, engine.plan(part, shard.part, shard.n_parts)

    def run(planned: tuple[pa.Table, Planned]) -> pa.Table | tuple:
        part, work = planned
        return part, work, engine.run(work)

    def write(job: Job, done: tuple) -> int:
        table = engine.table(*done)
        keep(job[1], lambda temporary: write_tokens(table, temporary, engine.name))
        return table.num_rows

    if overlap:
        yield from overlapped(plan, run, write, jobs)
    else:
        yield from (write(job, run(plan(job))) for job in jobs)


_inherited: tuple[Engine, pa.Table]  # in a scoring process only


def _start(engine: Engine, items: pa.Table, parent: int) -> None:
    global _inherited
    _inherited = (engine, items)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # an interrupt ends it without a word; the parent has one
    keep_freed_memory()
    end_with_parent(parent)


def _start_on_card(engine: Engine, items: pa.Table, parent: int, cards: SimpleQueue) -> None:
    _start(engine, items, parent)
    if engine.kernel == "cuda":
        torch.cuda.set_device(cards.get())
    torch.set_num_threads(1)
    engine.load()


def _score_here(jobs: list[Job]) -> list[int]:
    engine, items = _inherited
    return list(_in_turn(engine, items, jobs, engine.kernel == "cuda"))


def _watch(counts: Iterator[int], n_shards: int, label: str) -> None:
    """Show progress: a bar on a terminal, else a line now and then."""
    started = last = time.monotonic()
    rows = 0
    bar = tqdm(counts, total=n_shards, desc=label, unit="shard", disable=not sys.stderr.isatty())
    for done, count in enumerate(bar, 1):
        rows += count
        now = time.monotonic()
        rate = f"{rows / max(now - started, 1e-9):.0f} tokens/s"
        bar.set_postfix_str(rate)
        if bar.disable and (done == n_shards or now - last > LINE_SECONDS):
            print(f"{label}: {done} of {n_shards} shards, {rate}", file=sys.stderr)
            last = now


def _check_order(items: pa.Table, source: Path) -> None:
    keys = list(zip(*(items[name].to_pylist() for name in ITEM_KEY)))
    for key, following in pairwise(keys):
        if not key < following:
            raise InputError(
                f"{source}: rows must be sorted by item, option and variant; {following} comes after {key}"
            )


def _link(source: Path, target: Path) -> None:
    """`target` as a second name of the file, or a copy where the file system wants one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
