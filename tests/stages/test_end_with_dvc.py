"""A stage ends when its DVC ends.

It ends at once, before the stage's own imports as well as while it works.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lmcore.machine.processes import end_with_parent
from tests.yaml_files import write_yaml

ROOT = Path(__file__).parents[2]
STAGE = "import time\nfrom pathlib import Path\ntime.sleep(3)\nPath('out').write_text('made')\n"
# bash becomes the stage; Debian's sh stays between DVC and the stage
SHELLS = ["/bin/bash", "/bin/sh"]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent has ended"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A git and DVC repository with the real stages/__init__.py and one stage.

    The stage takes three seconds.
    """
    folder = tmp_path_factory.mktemp("repository")
    (folder / "stages").mkdir()
    shutil.copy2(ROOT / "stages/__init__.py", folder / "stages")
    (folder / "stages/slow.py").write_text(STAGE)
    (folder / ".gitignore").write_text("/out\n__pycache__/\n")
    slow = {"cmd": "python -m stages.slow", "deps": ["stages/slow.py"], "outs": ["out"]}
    write_yaml({"stages": {"slow": slow}}, folder / "dvc.yaml")
    for command in (
        "git init --quiet",
        "dvc init --quiet",
        "dvc config core.analytics false",
        "git add -A",
    ):
        subprocess.run(command.split(), cwd=folder, env=environment(), check=True)
    user = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", *user, "commit", "--quiet", "-m", "start"], cwd=folder, check=True)
    return folder


def environment() -> dict[str, str]:
    """This Python's commands come first on the path, and lmcore can be imported."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def start_stage(repository: Path, shell: str) -> tuple[subprocess.Popen, psutil.Process]:
    """A running `dvc repro`, and the process of its stage, just started."""
    (repository / "out").unlink(missing_ok=True)
    # a kill can have hit DVC while it wrote this lock
    (repository / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    settings = {**environment(), "SHELL": shell}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dvc = subprocess.Popen(["dvc", "repro", "--force"], cwd=repository, env=settings, **quiet)
    while dvc.poll() is None:
        for child in psutil.Process(dvc.pid).children(recursive=True):
            # the shell's own command line has this text only as a part of one argument
            if "stages.slow" in child.cmdline():
                return dvc, child
        time.sleep(0.001)
    raise AssertionError(f"dvc repro ended with {dvc.returncode} before its stage began")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0, 0.3, 1])
def test_stage_ends_with_its_dvc(repository, delay, sent, shell):
    dvc, stage = start_stage(repository, shell)
    time.sleep(delay)
    dvc.send_signal(sent)
    dvc.wait()
    stage.wait(timeout=30)  # psutil.TimeoutExpired where it went on
    assert not (repository / "out").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_stopped_stage_ends_with_its_dvc(repository, shell):
    dvc, stage = start_stage(repository, shell)
    time.sleep(1)
    stage.send_signal(signal.SIGSTOP)
    dvc.kill()
    dvc.wait()
    stage.wait(timeout=30)


@pytest.mark.parametrize("command", ["repro --force", "exp run --force", "exp run --temp --force"])
def test_stage_of_a_living_dvc_runs(repository, command):
    done = subprocess.run(
        ["dvc", *command.split()], cwd=repository, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_stage_by_hand_needs_no_dvc(repository):
    command = [sys.executable, "-m", "stages.slow"]
    done = subprocess.run(
        command, cwd=repository, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_end_with_parent_of_a_parent_that_has_ended_ends_at_once():
    child = os.fork()
    if not child:
        end_with_parent(parent=2**22 + 1)  # the number of no process
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
