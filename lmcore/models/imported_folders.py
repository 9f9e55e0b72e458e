"""What an import from a folder without a sha256 read, and whether that folder is still the same.

The import writes source.json beside the model. Location and patterns of the files stand there, and
the sha256 of their content (see lmcore.files.sha256).
"""

import hashlib
from pathlib import Path

from lmcore.corpus.sources import files_of_folder
from lmcore.errors import InputError
from lmcore.files import read_json_object, sha256, write_json

SOURCE = "source.json"


def record_folder(location: str, members: list[str], fetched: Path, model: Path) -> None:
    """Write to the folder `model` what was imported: the files of `location`, now in `fetched`."""
    source = {"provider": "folder", "location": location, "members": members}
    write_json({**source, "sha256": sha256(fetched)}, model / SOURCE)


def changed_folders(imports: dict[str, dict | None], models: Path) -> list[str]:
    """The imports without a sha256 whose folder is not what was imported.

    `imports` are those of params.yaml, `models` the folder of the models. A folder that is not
    there, and an import that has not run yet, count as unchanged.
    """
    changed = []
    for name, entry in imports.items():
        record = models / name / SOURCE
        is_folder = isinstance(entry, dict) and entry.get("provider") == "folder"
        if not is_folder or (entry or {}).get("sha256") or not record.exists():
            continue
        then = read_json_object(record, "the source of an imported model")
        try:
            files = files_of_folder(name, then["location"], then["members"])
        except InputError:
            continue
        if _sha256_of(files) != then["sha256"]:
            changed.append(name)
    return changed


def _sha256_of(files: list[Path]) -> str:
    """The sha256 that a folder with these files directly in it, and nothing else, would have."""
    lines = sorted(f"{file.name} {sha256(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
