"""Experiments: YAML files that say what differs from params.yaml.

Their keys are merged into the parameters; comments are kept.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.params import yaml_text
from lmcore.text_files import read_text

# sections whose keys are names
ENTRIES = (
    "suites",
    "fetch_sources",
    "fetch_judges",
    "from_config",
    "import_model",
    "trained",
    "keep_checkpoint",
    "train_teacher",
    "distill_model",
    "finetune_model",
    "import_logs",
    "analyse_acquisition",
    "export_babylm",
)


def apply(experiment: Path, params: Path) -> list[str]:
    """Merge the mappings of `experiment` into the file `params`, key by key.

    Returns the dotted names of what changed. A value that is no mapping replaces the one before,
    and `null` in a section whose keys are names (ENTRIES) removes an entry.

    Raises InputError for a file that is no YAML mapping and for a section that params do not have.
    """
    values, changes = _mapping(params), _mapping(experiment)
    if unknown := [key for key in changes if key not in values]:
        raise InputError(
            f"{experiment}: '{unknown[0]}' is no section of {params}; expected {', '.join(values)}"
        )
    changed = _merge(values, changes, "")
    text = read_text(params, "YAML")
    for section, name in _removed(changes):
        text = yaml_text.without_entry(text, section, name)
    # of the text without these entries, since a comment belongs to the entry above it there
    values = yaml_text.load_mapping(text, params, keep_comments=True)
    for section, _ in _removed(changes):
        if values[section] is None:  # the last entry has gone
            values[section] = {}
    _merge(values, changes, "")
    with whole(params) as temporary:
        temporary.write_text(yaml_text.dump(values), "utf-8")
    return changed


def _mapping(path: Path) -> dict:
    """What a YAML file says, with its comments. Raises InputError where that is no mapping."""
    return yaml_text.load_mapping(read_text(path, "YAML"), path, keep_comments=True)


def _removed(changes: dict) -> list[tuple[str, str]]:
    """(section, name) of every entry that an experiment removes."""
    found = []
    for section in ENTRIES:
        for name, change in (changes.get(section) or {}).items():
            if change is None:
                found.append((section, name))
    return found


def _merge(values: dict, changes: dict, prefix: str) -> list[str]:
    """Merge `changes` into `values`; the names of what changed begin with `prefix`."""
    changed = []
    for key, change in changes.items():
        name = f"{prefix}{key}"
        if change is None and prefix.removesuffix(".") in ENTRIES:
            if key in values:
                del values[key]
                changed.append(name)
        elif isinstance(change, dict) and isinstance(values.get(key), dict) and change:
            changed += _merge(values[key], change, f"{name}.")
        elif key not in values or values[key] != change:
            values[key] = change
            changed.append(name)
    return changed
