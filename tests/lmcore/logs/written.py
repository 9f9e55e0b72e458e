"""Small logs as other tools write them, for tests: values go in, files come out."""

import hashlib
import json
import struct
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TIME = "2026-01-02T03-04-05.678901"
Logprobs = list[list[float]]  # of each item, those of its options; the first option is right


def options(n: int) -> list[str]:
    """The texts of n options."""
    return [f" option {number}" for number in range(n)]


def lm_eval(folder: Path, logprobs: Logprobs, task: str = "task", **changes) -> Path:
    """The samples of a multiple-choice task and its results, as lm-eval writes them.

    `changes` replace parts of the results.
    """
    folder.mkdir(parents=True, exist_ok=True)
    time = changes.pop("time", TIME)
    samples = []
    for number, of_item in enumerate(logprobs):
        samples.append(lm_eval_sample(number, of_item))
    path = folder / f"samples_{task}_{time}.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    accuracy = sum(sample["acc"] for sample in samples) / len(samples)
    results = {
        "results": {task: {"alias": task, "acc,none": accuracy, "acc_stderr,none": "N/A"}},
        "group_subtasks": {task: []},
        "higher_is_better": {task: {"acc": True}},
        "config": {"model_dtype": "torch.bfloat16"},
        "model_name": f"somewhere/models/{folder.name}",
    }
    (folder / f"results_{time}.json").write_text(json.dumps(results | changes))
    return path


def lm_eval_sample(number: int, logprobs: list[float]) -> dict:
    """One line of a samples file. Log-likelihoods are texts."""
    texts = options(len(logprobs))
    arguments = {}
    for place, text in enumerate(texts):
        arguments[f"gen_args_{place}"] = {"arg_0": f"question {number}", "arg_1": text}
    return {
        "doc_id": number,
        "doc": {"question": f"question {number}"},
        "target": "0",
        "arguments": arguments,
        "filtered_resps": [[str(logprob), "False"] for logprob in logprobs],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": hashlib.sha256(str(number).encode()).hexdigest(),
        "prompt_hash": "the same",
        "acc": float(logprobs.index(max(logprobs)) == 0),
    }


def lighteval(folder: Path, logprobs: Logprobs, task: str = "task|0") -> Path:
    """The details of a multiple-choice task and its results, as lighteval writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, of_item in reversed(list(enumerate(logprobs))):
        texts = options(len(of_item))
        document = {"query": f"question {number}", "choices": texts, "gold_index": 0}
        response = {
            "logprobs": of_item,
            "output_tokens": [[1] * (2 + i) for i in range(len(texts))],
        }
        metric = {"acc": int(of_item.index(max(of_item)) == 0)}
        document["id"] = str(number)
        rows.append({"doc": document, "metric": metric, "model_response": response})
    path = folder / f"details_{task}_{TIME}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    results = {
        "config_general": {
            "model_config": {"model_name": f"org/{folder.name}", "dtype": "float32"}
        },
        "results": {task: {"acc": 0.5, "acc_stderr": 0.1}},
    }
    (folder / f"results_{TIME}.json").write_text(json.dumps(results))
    return path


def inspect(path: Path, values: list[list], status: str = "success", **run) -> Path:
    """An Inspect log: of each sample the score in every epoch; .eval or .json by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"version": 2, "status": status, "results": {"scores": []}}
    header["eval"] = {"task": "task", "model": f"org/{path.stem}", "created": "2026"} | run
    samples = []
    for number, epochs in enumerate(values, 1):
        for epoch, value in enumerate(epochs, 1):
            sample = {"id": number, "epoch": epoch, "input": f"question {number}", "target": "yes"}
            scores = {} if value is None else {"match": {"value": value, "answer": "?"}}
            samples.append(sample | {"scores": scores})
    if path.suffix == ".json":
        path.write_text(json.dumps(header | {"samples": samples}))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(header))
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
    return path


def recompressed(path: Path) -> Path:
    """Write a zip file once more, its members compressed by zstd as Inspect does it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    body, directory = b"", b""
    for name, content in members.items():
        packed = pa.compress(content, codec="zstd", asbytes=True)
        sizes = struct.pack("<3L", zlib.crc32(content), len(packed), len(content))
        # version, flags, method 93, time and date; then sizes, and the lengths of name and extra
        common = struct.pack("<5H", 63, 0, 93, 0, 33) + sizes + struct.pack("<2H", len(name), 0)
        place = struct.pack("<3H2L", 0, 0, 0, 0, len(body))
        directory += b"PK\1\2" + struct.pack("<H", 63) + common + place + name.encode()
        body += b"PK\3\4" + common + name.encode() + packed
    end = struct.pack("<4H2LH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)
    return path


def babylm(root: Path, chosen: dict[str, list[str]], task: str = "blimp_fast") -> Path:
    """Predictions of a model called `model`, at the place where the official pipeline puts them."""
    folder = root / "results" / "model" / "main" / "zero_shot" / "causal" / "blimp" / task
    folder.mkdir(parents=True)
    uids = {}
    for uid, texts in chosen.items():
        predictions = [{"id": f"{uid}_{i}", "pred": text} for i, text in enumerate(texts)]
        uids[uid] = {"predictions": predictions}
    path = folder / "predictions.json"
    path.write_text(json.dumps(uids))
    return path
