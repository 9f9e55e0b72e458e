"""The stages of dvc.yaml. A stage ends when its DVC ends.

`python -m stages.NAME` imports this package before anything else. So a stage is bound to its DVC
before the imports that take seconds. A stage that outlived its DVC would later overwrite what a
newer run has made.
"""

import json
import os
import sys
from pathlib import Path

from lmcore.machine.processes import end_with, end_with_parent


def _end_with_dvc() -> None:
    """Let this stage end when its DVC ends, or now if that has ended already.

    A DVC that runs a stage has its process number in .dvc/tmp/rwlock. It starts stages in the
    folder of dvc.yaml; DVC_ROOT may be another one, for experiments in temporary folders.
    """
    end_with_parent()
    try:
        lock = json.loads(Path(".dvc/tmp/rwlock").read_text("utf-8"))
        at_work = {int(entry["pid"]) for entry in lock["write"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        at_work = set()  # a kill can leave the file empty
    ancestors = _ancestors()
    dvc = next((ancestor for ancestor in ancestors if ancestor in at_work), None)
    try:
        if dvc is None and (at_work or ancestors[0] == 1):
            raise ProcessLookupError
        if dvc is not None and dvc != ancestors[0]:
            end_with(dvc)
    except ProcessLookupError:
        sys.exit("error: the DVC that started this stage has ended; nothing was written")


def _ancestors() -> list[int]:
    """The process numbers of the parent, its parent and so on."""
    ancestors = [os.getppid()]
    while ancestors[-1] > 1:
        try:
            stat = Path(f"/proc/{ancestors[-1]}/stat").read_text("utf-8")
        except OSError:  # ended meanwhile
            break
        ancestors.append(int(stat.rpartition(")")[2].split()[1]))
    return ancestors


# sys.argv begins with "-m" while Python has not found the module yet: `python -m stages.NAME` alone
if sys.argv[:1] == ["-m"] and sys.platform == "linux" and "DVC_ROOT" in os.environ:
    _end_with_dvc()
