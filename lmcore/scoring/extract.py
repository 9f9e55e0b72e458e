"""A model's token tables, one for each suite, each made in shards.

If a run is killed at any moment, the next run goes on at the first missing shard and ends in the
same bytes.

A shard is a run of whole items, or of windows of a long text. It is scored alone and written to the
work folder, whose name is the hash of all that decides its bytes: model folder, items file, params,
code, engine. So shards are never those of another model. When all shards of all suites are there,
they become the folder `out`, whole.

The shards of the last tables stay in the work folder. So a changed suite costs the scoring of this
suite alone, though one process scores all suites: it opens the model once.

On GPUs, one process for each card scores shards. While the card computes one shard, the next one is
planned and the one before it is written. On a CPU, several processes of one thread each score
shards. They are forked from a process that has loaded the model, so they share its weights. Their
number (environment LMCORE_WORKERS, else the number of cores) changes no byte. All processes die
with their parent. A second run of the same work waits for the first.

Where the environment says LMCORE_ENGINE=ray, the same shards are scored on a Ray cluster instead
(lmcore.scoring.on_cluster). They end in the same bytes.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from itertools import pairwise
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Literal

import pyarrow as pa
import torch

from lmcore import cluster
from lmcore.errors import InputError
from lmcore.files import sha256, whole
from lmcore.kept_files import find, keep, locked, remove_unlocked
from lmcore.machine.memory import keep_freed_memory
from lmcore.machine.processes import end_with_parent
from lmcore.machine.progress import Progress
from lmcore.machine.threads import one_thread
from lmcore.params.ranges import Count
from lmcore.scoring import kernels, on_cluster
from lmcore.scoring.engine import Engine, Planned, engine_name
from lmcore.scoring.overlap import overlapped
from lmcore.scoring.shards import Job, shards
from lmcore.scoring.writer import write_tokens
from lmcore.shown import for_terminal
from lmcore.tables import ITEM_KEY, ITEMS, read, scoring_of

SHARDS_AHEAD = 16  # shards that a GPU's process takes at a time


def extract_suites(
    model: Path,
    items: Path,
    suites: list[str],
    out: Path,
    work: Path,
    code: str,
    *,
    dtype: Literal["float32", "bfloat16"],
    token_budget: Count,
    shard_chars: Count,
    gpu_token_budget: Count = 32_768,
) -> None:
    """Write a model's token tables of all suites, `out`/SUITE/part-00000.parquet ...

    model: a model folder; items: the folder of the suites' items files; work: keeps finished shards
    between runs; code: the fingerprint of the code; dtype: of the model's body; token_budget and
    gpu_token_budget: rows in a forward pass, on a CPU and on a GPU; shard_chars: about how many
    characters of text a shard holds at most.

    Raises InputError naming the file or item that cannot be used.
    """
    budget = gpu_token_budget if _kernel() == "cuda" else token_budget
    kept = work / "tokens" / model.name
    scorer = _Scorer(model, kept, code, dtype, budget, shard_chars)
    with ExitStack() as stack:
        tables = {}
        for suite in suites:
            tables[suite] = stack.enter_context(scorer.shards_of(items / f"{suite}.parquet"))
        with whole(out) as temporary:
            for suite, files in tables.items():
                _link_all(files, temporary / suite)
    for folder in kept.iterdir():
        if folder.is_dir() and folder.name not in scorer.keys:
            remove_unlocked(folder)


def _kernel() -> str:
    """The kernel with which shards are scored, here or on the hosts of the cluster."""
    if cluster.is_wanted():
        return cluster.facts_of(on_cluster.facts)["kernel"]
    return kernels.choose()


def extract_tokens(
    model: Path,
    items: Path,
    out: Path,
    work: Path,
    code: str,
    *,
    dtype: str,
    token_budget: int,
    shard_chars: int,
) -> None:
    """Write a model's token table of one items file to the folder `out`, as part-00000.parquet ...

    The arguments and errors are those of `extract_suites`.
    """
    scorer = _Scorer(model, work / "tokens", code, dtype, token_budget, shard_chars)
    with scorer.shards_of(items) as files, whole(out) as temporary:
        _link_all(files, temporary)
    for key in scorer.keys:
        shutil.rmtree(work / "tokens" / key)


def _link_all(files: list[Path], folder: Path) -> None:
    """Make the folder, with the files in it under the names part-00000.parquet ..."""
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        _link(file.resolve(), folder / f"part-{number:05d}.parquet")


class _Scorer:
    """Scores suites by one model, which is opened once."""

    def __init__(
        self,
        model: Path,
        work: Path,
        code: str,
        dtype: str,
        token_budget: int,
        shard_chars: int,
    ):
        self.work, self.shard_chars = work, shard_chars
        self.keys: set[str] = set()  # of the tables made; so are folders in `work` named
        self.engine = Engine(model, {}, dtype, token_budget)
        if cluster.is_wanted():
            there = cluster.facts_of(on_cluster.facts)
            name = engine_name(dtype, there["kernel"], there["device"])
        else:
            name = engine_name(dtype)
        self.made_of = {
            "model": sha256(model),
            "code": code,
            "engine": name,
            "torch": torch.__version__.split("+")[0],
            "transformers": version("transformers"),
            "dtype": dtype,
            "token_budget": token_budget,
            "shard_chars": shard_chars,
        }

    def _key(self, items: Path) -> str:
        """The hash of all that decides the bytes of the table of an items file."""
        decisive = json.dumps({**self.made_of, "items": sha256(items)}, sort_keys=True)
        return hashlib.sha256(decisive.encode()).hexdigest()[:32]

    @contextmanager
    def shards_of(self, items: Path) -> Iterator[list[Path]]:
        """The files of all shards of a suite, in order; those that are missing are scored first.

        No other run changes them until the block ends. Raises InputError if a shard cannot be read
        back.
        """
        table = read(items, ITEMS)
        _check_order(table, items)
        key = self._key(items)
        folder = self.work / key
        self.keys.add(key)
        with locked(folder):
            engine = self.engine.for_suite(scoring_of(table))
            jobs = []
            for number, shard in enumerate(shards(table, self.shard_chars, engine)):
                jobs.append((shard, folder / f"part-{number:05d}.parquet"))
            files = {path: find(path) for _, path in jobs}
            missing = [(shard, path) for shard, path in jobs if not files[path]]
            if missing:
                folder.mkdir(parents=True, exist_ok=True)
                label = for_terminal(f"{engine.model.name} {items.stem}")
                if cluster.is_wanted():
                    counts = on_cluster.score_jobs(engine, table, missing)
                    _watch(counts, len(missing), label)
                else:
                    with one_thread():  # forked processes must not inherit a pool of threads
                        score_shards(engine, table, missing, label)
            yield [file or _read_back(path) for path, file in files.items()]


def _read_back(path: Path) -> Path:
    """The file that was kept as `path`. Raises InputError if it cannot be read back."""
    file = find(path)
    if not file:
        raise InputError(
            f"{path}: cannot be read back as it was written; run again, on another disk"
            " if this goes on"
        )
    return file


def count_workers() -> int:
    """How many processes score at once: LMCORE_WORKERS, else the cores this process may use.

    Raises InputError if LMCORE_WORKERS is not a whole number from 1.
    """
    value = os.environ.get("LMCORE_WORKERS", "")
    if value and not (value.isdecimal() and int(value) > 0):
        raise InputError(f"LMCORE_WORKERS must be a whole number from 1, not {value!r}")
    if value:
        return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def score_shards(engine: Engine, items: pa.Table, jobs: list[Job], label: str) -> None:
    """Score each shard and keep it as its path.

    On a CPU, as many processes as `count_workers` says do this; otherwise, one for each GPU. Raises
    OSError if a process was killed.
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
            _watch(_counts(futures), len(jobs), label)
        except BrokenProcessPool as error:
            raise OSError(
                f"{label}: a scoring process was killed (out of memory?);"
                " run again, with fewer LMCORE_WORKERS, to go on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _counts(futures: Iterable[Future[list[int]]]) -> Iterator[int]:
    """How many rows each shard has, as the processes return them."""
    for future in as_completed(futures):
        yield from future.result()


def _pool_of_forks(engine: Engine, items: pa.Table, n_workers: int) -> ProcessPoolExecutor:
    """Processes that have the model and the items in memory already, so neither is copied."""
    return ProcessPoolExecutor(
        n_workers, multiprocessing.get_context("fork"), _start, (engine, items, os.getpid())
    )


def _pool_on_cards(engine: Engine, items: pa.Table, n_workers: int) -> ProcessPoolExecutor:
    """Processes that open the model on a GPU each. Forked processes could not use CUDA."""
    context = multiprocessing.get_context("spawn")
    cards = context.SimpleQueue()
    for card in range(n_workers):
        cards.put(card)
    return ProcessPoolExecutor(
        n_workers, context, _start_on_card, (engine, items, os.getpid(), cards)
    )


def _in_turn(engine: Engine, items: pa.Table, jobs: list[Job], overlap: bool) -> Iterator[int]:
    """Score and keep shards, and yield how many rows each has.

    With `overlap`, a GPU need not wait for the host before and after each shard.
    """

    def plan(job: Job) -> tuple[pa.Table, Planned]:
        shard, _ = job
        rows = items.slice(shard.start, shard.stop - shard.start)
        return rows, engine.plan(rows, shard.part, shard.n_parts)

    def run(planned: tuple[pa.Table, Planned]) -> tuple:
        rows, work = planned
        return rows, work, engine.run(work)

    def write(job: Job, done: tuple) -> int:
        _, path = job
        table = engine.table(*done)
        keep(path, lambda temporary: write_tokens(table, temporary, engine.name))
        return table.num_rows

    if overlap:
        yield from overlapped(plan, run, write, jobs)
    else:
        yield from (write(job, run(plan(job))) for job in jobs)


_inherited: tuple[Engine, pa.Table]  # set only in a scoring process


def _start(engine: Engine, items: pa.Table, parent: int) -> None:
    """Begin a scoring process."""
    global _inherited
    _inherited = (engine, items)
    # An interrupt ends this process without a message; the parent prints one
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    keep_freed_memory()
    end_with_parent(parent)


def _start_on_card(engine: Engine, items: pa.Table, parent: int, cards: SimpleQueue) -> None:
    """Begin a scoring process on the next GPU of `cards`."""
    _start(engine, items, parent)
    if engine.kernel == "cuda":
        torch.cuda.set_device(cards.get())
    torch.set_num_threads(1)
    engine.load()


def _score_here(jobs: list[Job]) -> list[int]:
    """Score and keep shards in a scoring process; how many rows each has."""
    engine, items = _inherited
    return list(_in_turn(engine, items, jobs, engine.kernel == "cuda"))


def _watch(counts: Iterator[int], n_shards: int, label: str) -> None:
    """Show progress; `counts` are the rows of each shard, as they are done."""
    started = time.monotonic()
    rows = 0
    with Progress(n_shards, label, "shard") as progress:
        for count in counts:
            rows += count
            seconds = max(time.monotonic() - started, 1e-9)
            progress.advance(note=f"{rows / seconds:.0f} tokens/s")


def _check_order(items: pa.Table, source: Path) -> None:
    """Raises InputError if the rows are not sorted by their key."""
    keys = list(zip(*(items[name].to_pylist() for name in ITEM_KEY)))
    for key, following in pairwise(keys):
        if not key < following:
            raise InputError(
                f"{source}: rows must be sorted by item, option and variant;"
                f" {following} comes after {key}"
            )


def _link(source: Path, target: Path) -> None:
    """Make `target` a second name of the file, or a copy if the file system has no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
