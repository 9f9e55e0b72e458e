"""Find the folder of a model that a person names on the command line.

A name, a folder or a hub id goes in. The folder of the model comes out.
"""

from pathlib import Path

from lmcore.errors import InputError
from lmcore.models.folder import read_config

HUB_FILES = ["*.json", "*.safetensors", "*.model"]


def find_model(model: str, model_folder: Path) -> Path:
    """The folder of a model: a name in `model_folder`, a folder, or a hub id.

    A hub id is fetched: safetensors, never code. Raises InputError where there is no such model,
    and as `read_config`.
    """
    for folder in (model_folder / model, Path(model)):
        if folder.is_dir():
            read_config(folder)
            return folder.resolve()
    if model.count("/") == 1 and not model.startswith((".", "/")):
        folder = _fetch_from_hub(model)
        read_config(folder)
        return folder
    known = "none"
    if model_folder.is_dir():
        known = ", ".join(sorted(path.name for path in model_folder.glob("*")))
    raise InputError(f"{model}: no such model; expected a name ({known}), a folder or a hub id")


def _fetch_from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise InputError(
            f"{model}: no such folder, and the hub does not give it: {str(error).splitlines()[0]}"
        ) from error
