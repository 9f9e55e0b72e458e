"""The models that are trained here, as artifacts in dvc.yaml.

By them `dvc artifacts get` and model registries find a model. The values of params.yaml go in. The
section `artifacts` of dvc.yaml comes out.

DVC fills no template in that section more than once: it knows `foreach` and `matrix` of stages
alone (DataResolver in dvc/parsing). So the entries are written, by `lmcore use`, and `in_step` says
whether they are those of params.yaml.
"""

import io
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lmcore.files import whole
from lmcore.params import yaml_text
from lmcore.text_files import read_text

# The sections of params.yaml that hold the models that are trained here, and what each does
TRAINED = {
    "trained": "trained on the chunks",
    "train_teacher": "a teacher, trained on the chunks",
    "distill_model": "trained on the chunks and on what its teachers say of them",
    "finetune_model": "trained further on a suite's items",
    "keep_checkpoint": "a step of another model's training",
}
# The section and what is in it, up to the next section
SECTION = re.compile(r"^artifacts:.*?(?=^[^\s#]|\Z)", re.M | re.S)


def trained_models(params: dict[str, Any]) -> dict[str, str]:
    """{the name of each model that is trained here: the section of params.yaml that makes it}."""
    return {name: section for section in TRAINED for name in params.get(section) or {}}


def folder_of(name: str, params: dict[str, Any]) -> str:
    """The folder, in the repository, of a model of params.yaml."""
    teachers = params.get("train_teacher") or {}
    if name in teachers:
        return f"data/teachers/{(teachers[name] or {}).get('student')}/{name}"
    return f"data/models/{name}"


def artifacts_of(params: dict[str, Any]) -> dict[str, Any]:
    """The section `artifacts` for these params.

    An entry names the files of the model's metrics, never their numbers, which would go stale.
    """
    artifacts = {}
    for name, section in trained_models(params).items():
        metrics = [] if section == "keep_checkpoint" else [f"metrics/train/{name}.json"]
        if name in (params.get("models") or []):
            metrics.append(f"metrics/models/{name}.json")
        artifacts[name] = {
            "path": folder_of(name, params),
            "type": "model",
            "desc": TRAINED[section],
            "labels": [section],
            "meta": {"metrics": metrics},
        }
    return artifacts


def in_step(params: dict[str, Any], pipeline: Path) -> bool:
    """Whether the artifacts in the file `pipeline` (dvc.yaml) are those of the params."""
    values = yaml_text.load(read_text(pipeline, "YAML"), pipeline) or {}
    return (values.get("artifacts") or {}) == artifacts_of(params)


def bring_in_step(params: Path, pipeline: Path) -> list[str]:
    """Write the artifacts of the file `params` into the file `pipeline` (dvc.yaml).

    Returns the names of the artifacts, empty where they were right. The rest of the file stays as
    it is, to the byte. Raises InputError for a file that is no YAML.
    """
    values = yaml_text.load(read_text(params, "YAML"), params) or {}
    if in_step(values, pipeline):
        return []
    artifacts = artifacts_of(values)
    text = read_text(pipeline, "YAML")
    section = _as_yaml(artifacts) + "\n" if artifacts else ""
    if SECTION.search(text):
        text = SECTION.sub(lambda match: section, text, count=1)
    else:
        text = f"{text.rstrip()}\n\n{section}"
    with whole(pipeline) as temporary:
        temporary.write_text(text.rstrip() + "\n", "utf-8")
    return list(artifacts)


def _as_yaml(artifacts: dict[str, Any]) -> str:
    """The section as YAML, in the layout of dvc.yaml."""
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump({"artifacts": artifacts}, stream)
    return stream.getvalue()
