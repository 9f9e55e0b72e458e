"""Experiments: YAML files that say what differs from params.yaml.

Their keys are merged into the parameters; comments are kept.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params import yaml_text
from lmcore.text_files import read_text

# sections whose keys are names
ENTRIES = (
    "suites",
    "fetch_sources",
    "from_config",
    "import_model",
    "trained",
    "keep_checkpoint",
    "train_teacher",
    "distill_model",
    "finetune_model",
)


def apply(experiment: Path, params: Path) -> list[str]:
    """Merge the mappings of `experiment` into the file `params`, key by key.

    Returns the dotted names of what changed. A value that is no mapping replaces the one before,
    and `null` in a section whose keys are names (ENTRIES) removes an entry.

    Raises InputError for a file that is no YAML mapping and for a section that params do not have.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    values, changes = _mapping(yaml, params), _mapping(yaml, experiment)
    if unknown := [key for key in changes if key not in values]:
        raise InputError(
            f"{experiment}: '{unknown[0]}' is no section of {params}; expected {', '.join(values)}"
        )
    changed = _merge(values, changes, "")
    with whole(params) as temporary:
        yaml.dump(values, temporary)
    return changed


def _mapping(yaml: YAML, path: Path) -> Any:
    """What a YAML file says. Raises InputError where that is no mapping."""
    value = yaml_text.load(read_text(path, "YAML"), path, yaml)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a YAML mapping of sections")
    return value


def _merge(values: dict, changes: dict, prefix: str) -> list[str]:
    """Merge `changes` into `values`; the names of what changed begin with `prefix`."""
    changed = []
    for key, change in changes.items():
        name = f"{prefix}{key}"
        if change is None and prefix.removesuffix(".") in ENTRIES:
            if values.pop(key, None) is not None:
                changed.append(name)
        elif isinstance(change, dict) and isinstance(values.get(key), dict) and change:
            changed += _merge(values[key], change, f"{name}.")
        elif key not in values or values[key] != change:
            values[key] = change
            changed.append(name)
    return changed
