"""Read and write the YAML files of tests, in the same way as lmcore and DVC do."""

from pathlib import Path
from typing import Any

from lmcore.params import yaml_text


def read_yaml(path: Path) -> Any:
    return yaml_text.load(path.read_text("utf-8"), path)


def write_yaml(values: Any, path: Path) -> None:
    """Write `values` as YAML; the keys stay in their order."""
    path.write_text(yaml_text.dump(values), "utf-8")
