"""Shards on a Ray cluster: each is scored by one task, which returns the bytes of its file.

The plan of shards, and the files they become, are those of lmcore.scoring.extract on one machine.
"""

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch

from lmcore import cluster
from lmcore.files import sha256
from lmcore.kept_files import keep
from lmcore.machine.memory import keep_freed_memory
from lmcore.scoring import kernels
from lmcore.scoring.engine import Engine, device_name
from lmcore.scoring.shards import Job, Shard
from lmcore.scoring.writer import write_tokens
from lmcore.tables import scoring_of


class Options(NamedTuple):
    """What an engine is made with, besides its model."""

    scoring: str  # JSON
    dtype: str
    token_budget: int


def facts() -> cluster.Facts:
    """What this host computes with: all that decides the bits besides the code and the model."""
    kernel = kernels.choose()
    found = {"kernel": kernel, "device": device_name(kernel), "processor": cluster.maker()}
    return found | cluster.versions("torch", "transformers", "tokenizers")


def score_jobs(engine: Engine, items: pa.Table, jobs: list[Job]) -> Iterator[int]:
    """Score each shard on the cluster and keep its bytes as its path; yield its number of rows.

    Raises InputError as lmcore.cluster.run.
    """
    options = Options(json.dumps(scoring_of(items)), engine.dtype, engine.token_budget)
    model = _shared(engine.model, sha256(engine.model))
    shared = model, cluster.share(items), options
    shards = [shard for shard, _ in jobs]
    for number, (n_rows, content) in cluster.run(_score, facts, shards, *shared):
        _, path = jobs[number]
        keep(path, functools.partial(Path.write_bytes, data=content))
        yield n_rows


@functools.lru_cache(maxsize=1)
def _shared(model: Path, digest: str) -> cluster.SharedFolder:
    """A model's folder with this hash, which is put into Ray's store once for all suites."""
    return cluster.SharedFolder(model)


def _score(
    model: cluster.SharedFolder, items: pa.Table, options: Options, shard: Shard
) -> tuple[int, bytes]:
    """The number of rows of a shard's token table, and the bytes of its Parquet file."""
    engine = _engine(model.here(), options)
    rows = items.slice(shard.start, shard.stop - shard.start)
    planned = engine.plan(rows, shard.part, shard.n_parts)
    table = engine.table(rows, planned, engine.run(planned))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        write_tokens(table, path, engine.name)
        return table.num_rows, path.read_bytes()


@functools.lru_cache(maxsize=1)
def _engine(model: Path, options: Options) -> Engine:
    """The engine that this process scores with, until it is given another model or suite."""
    torch.set_num_threads(1)  # the bits must not depend on the host's number of cores
    keep_freed_memory()
    loaded = _loaded(model, options.dtype, options.token_budget)
    return loaded.for_suite(json.loads(options.scoring)).load()


@functools.lru_cache(maxsize=1)
def _loaded(model: Path, dtype: str, token_budget: int) -> Engine:
    """A model with its weights."""
    return Engine(model, {}, dtype, token_budget)
