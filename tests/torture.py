"""`make torture`: whatever happens to a `dvc repro`, the next ones end in the bytes of an undisturbed run.

The real pipeline on a small input (tests.small_pipeline) runs once undisturbed. Then it is
disturbed: random kills of stage, DVC, process group and scoring process; a disk that is full in
each folder; bits that flip in kept files; two runs at once; stages that are stopped while their
DVC is killed. After each it is run again, as a user would. Its dvc.lock must be that of the
undisturbed run, and no process, unfinished file or lock may be left. Exits 1 where that fails.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from lmcore.files import is_temporary
from tests.small_pipeline import environment, make_clone, make_sources, small_params
from tests.yaml_files import read_yaml

MOST_RUNS = 40  # of one lap, after which it counts as stuck
LATEST = 0.2  # of the time of an undisturbed run, after which a run is killed
LONGEST = 300.0  # seconds of one run
UNTIL_GONE = 20.0  # seconds in which every process of a killed run must have ended
KEPT = re.compile(r".+\.[0-9a-f]{16}\.(parquet|safetensors)")
PARTS = "kills,bits,together,disks"
SHELLS = (
    "/bin/bash",
    "/bin/sh",
)  # bash becomes the stage; Debian's sh stays between DVC and the stage
VICTIMS = ("stage", "dvc", "group", "dvc by SIGTERM", "group by SIGINT", "stopped stage, then dvc")
# folder: sizes in KiB of a disk for it, each larger than the one before; the last one is enough.
# None is itself an output: DVC replaces these, which cannot be done to a mounted disk.
DISKS = {
    "data": (100, 400, 700, 1_000, 1_400, 2_000, 3_000, 200_000),
    "work": (8, 100, 300, 200_000),
    "metrics": (4, 40, 200_000),
    "tmp": (4, 200_000),
}


class Torture:
    """A place with the sources, the lock of an undisturbed run, and what was found."""

    def __init__(self, root: Path, params: dict[str, Any], target: list[str], seed: int):
        self.root = root
        self.params = params
        self.target = target
        self.random = random.Random(seed)
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.expected: dict[str, Any] = {}
        self.latest_kill = 0.0  # seconds after the start of a run
        self.stopped: list[
            psutil.Process
        ] = []  # stages that go on when the next run has begun, and must end then

    def clone(self, name: str) -> Path:
        """A fresh clone with a work and a temporary folder of its own."""
        folder = make_clone(self.root, name, self.params)
        (folder / "tmp").mkdir()
        (folder / ".git/info/exclude").write_text("/tmp/\n")
        return folder

    def start(self, folder: Path, *arguments: str, **others: str) -> subprocess.Popen:
        """A running `dvc repro`, in a process group of its own; its output goes to `folder`.log."""
        settings = environment(
            folder, TMPDIR=str(folder / "tmp"), OMP_WAIT_POLICY="passive", **others
        )
        command = ["dvc", "repro", *(arguments or self.target)]
        with folder.with_suffix(".log").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(
                    signal.signal, signal.SIGINT, signal.SIG_DFL
                ),  # a shell's background jobs ignore it
            )

    def finish(self, folder: Path, *arguments: str, **others: str) -> int:
        """The exit status of a `dvc repro` that nothing disturbs, after `lmcore unlock`, as `make repro` has it."""
        self._unlock(folder)
        return self.start(folder, *arguments, **others).wait(LONGEST)

    def log(self, folder: Path) -> str:
        return folder.with_suffix(".log").read_text(errors="replace")

    def undisturbed(self) -> None:
        folder = self.clone("undisturbed")
        started = time.monotonic()
        if self.finish(folder):
            sys.exit(f"error: the undisturbed run failed:\n{self.log(folder)[-2000:]}")
        self.expected = read_yaml(folder / "dvc.lock")
        seconds = time.monotonic() - started
        self.latest_kill = LATEST * seconds
        say(f"undisturbed: {self.log(folder).count('Running stage')} stages in {seconds:.0f} s")

    def kills(self, n_kills: int) -> None:
        """Run from nothing to the end, killed after random times, as often as it takes for `n_kills`."""
        done = lap = 0
        while done < n_kills:
            lap += 1
            folder = self.clone(f"killed_{lap}")
            runs = 0
            while runs < MOST_RUNS:
                runs += 1
                process = self.start(folder, SHELL=SHELLS[runs % len(SHELLS)])
                kill(self.stopped, signal.SIGCONT)
                self.stopped = []
                seconds, victim = (
                    self.random.uniform(0.0, self.latest_kill),
                    VICTIMS[done % len(VICTIMS)],
                )
                if done < n_kills and self._kill_after(folder, process, seconds, victim):
                    done += 1
                elif process.wait(LONGEST) == 0:
                    break
                else:
                    self._check_failure(folder)
                self._unlock_and_check(folder)
            self.compare(folder, f"lap {lap} of kills, {runs} runs")

    def _kill_after(
        self, folder: Path, process: subprocess.Popen, seconds: float, victim: str
    ) -> bool:
        """Kill the run after so many seconds; False where it had ended before."""
        try:
            process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            pass
        stages = stages_of(process.pid)
        while "stage" in victim and not stages and process.poll() is None:
            stages = stages_of(process.pid)
        name = next((stage_name(stage) for stage in stages), "between stages")
        if process.poll() is not None:
            return False
        if victim == "stage":
            kill([self.random.choice(stages)], signal.SIGKILL)
        elif victim == "dvc":
            process.kill()
        elif victim == "dvc by SIGTERM":
            process.terminate()
        elif victim == "stopped stage, then dvc":
            kill(stages, signal.SIGSTOP)
            self.stopped = stages
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL if victim == "group" else signal.SIGINT)
        process.wait(LONGEST)
        self.counts[f"kills of {victim}"] += 1
        self.counts[f"kills in {name}"] += 1
        say(f"killed {victim} after {seconds:.1f} s, in {name}")
        return True

    def _unlock_and_check(self, folder: Path) -> None:
        """No process may go on, and DVC must be usable again."""
        self._no_orphans(folder)
        self._unlock(folder)
        self.counts["unfinished files, removed by the next run"] += len(unfinished(folder))

    def _unlock(self, folder: Path) -> None:
        done = subprocess.run(
            ["lmcore", "unlock"],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
        )
        self.counts["locks of DVC mended"] += "rwlock" in done.stdout
        if done.returncode:
            self.fail(f"lmcore unlock: {done.stdout}{done.stderr}")

    def _no_orphans(self, folder: Path) -> None:
        deadline = time.monotonic() + UNTIL_GONE
        while (
            orphans := set(processes_in(folder)) - set(self.stopped)
        ) and time.monotonic() < deadline:
            time.sleep(0.05)
        for orphan in orphans:
            self.counts["orphans"] += 1
            self.fail(f"an orphan goes on: {' '.join(orphan.cmdline())}")
        kill(orphans, signal.SIGKILL)

    def _check_failure(self, folder: Path) -> None:
        """A run that failed by itself must say why in one line, not show where in the code."""
        text = self.log(folder)
        if "Traceback" in text or "error" not in text.lower():
            self.fail(f"a run failed without a clear line:\n{text[-1500:]}")

    def full_disks(self) -> None:
        """Run from nothing with a small disk for one folder, and on when it has grown."""
        for name, sizes in DISKS.items():
            folder = self.clone(f"full_{name}")
            place = folder / name
            tracked = (
                shutil.copytree(place, self.root / f"tracked_{name}") if place.exists() else None
            )
            place.mkdir(exist_ok=True)
            mount(place, sizes[0])
            try:
                if tracked:
                    shutil.copytree(tracked, place, dirs_exist_ok=True)
                for size in sizes:
                    mount(place, size, "remount")
                    self._run_on_disk(folder, name, size)
                self.compare(folder, f"full disk at {name}")
            finally:
                subprocess.run(["umount", place], check=True)

    def _run_on_disk(self, folder: Path, name: str, size: int) -> None:
        status = self.finish(folder)
        text = self.log(folder)
        self._no_orphans(folder)
        if status == 0:
            say(f"a disk of {size} KiB at {name}: enough")
            return
        lines = [line for line in text.splitlines() if "No space left" in line]
        self.counts[f"full disk at {name}"] += 1
        named = [
            line
            for line in lines
            if line.startswith("error: ") and re.match(rf"error: \S*{name}", line)
        ]
        by_dvc = [
            line
            for line in text.splitlines()
            if line.startswith("ERROR: ") and (line in lines or str(folder / name) in line)
        ]
        if "Traceback" in text or not (named or by_dvc):
            self.fail(
                f"a full disk at {name} ({size} KiB) is not told in one line that names it:\n{text[-1500:]}"
            )
        say(f"a disk of {size} KiB at {name}: {(named or by_dvc or lines or ['?'])[-1]}")

    def flipped_bits(self, times: int) -> None:
        """Kill a training and an extraction when they have kept a file, damage the file, and run on."""
        folder = self.clone("flipped")
        self.finish(folder)
        for number in range(times):
            stage = ("train_model@babyllama", "extract_tokens@babyllama-cloze")[number % 2]
            forced = ("--single-item", "--force", "--no-run-cache", stage)
            shutil.rmtree(folder / "work")  # what earlier runs kept is not needed again
            process = self.start(folder, *forced)
            awaited = "state" if "train" in stage else "part"  # what a later run needs
            while process.poll() is None and not any(
                file.name.startswith(awaited) for file in kept_files(folder)
            ):
                time.sleep(0.001)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LONGEST)
            self._no_orphans(folder)
            kept = kept_files(folder)
            for file in kept:
                self._damage(file)
            if self.finish(folder, *forced):
                self.fail(f"{stage} fails after a bit flipped:\n{self.log(folder)[-1500:]}")
            was_said = "is not what was written" in self.log(folder)
            if kept and not was_said:
                self.counts["damaged files that were not needed"] += 1
            self.counts["damaged files that were made again"] += was_said
            say(f"{stage}: {len(kept)} kept files damaged; {'said' if was_said else 'not needed'}")
        self.compare(folder, "flipped bits")

    def _damage(self, file: Path) -> None:
        content = bytearray(file.read_bytes())
        if self.random.random() < 0.3 or not content:
            content.clear()
        else:
            content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        file.write_bytes(content)

    def two_at_once(self) -> None:
        """Two clones with one work folder, then two runs in one clone."""
        folders = [self.clone(f"together_{number}") for number in range(2)]
        work = str(self.root / "shared_work")
        processes = [self.start(folder, LMCORE_WORK=work) for folder in folders]
        for folder, process in zip(folders, processes, strict=True):
            if process.wait(LONGEST):
                self.fail(f"two runs with one work folder: {self.log(folder)[-1500:]}")
            self.compare(folder, "two clones with one work folder")
            self.counts["waits for another run"] += self.log(folder).count(
                "another run works on the same"
            )
        forced = ("--force", "--no-run-cache", *self.target)
        first = self.start(folders[0], *forced)
        time.sleep(self.random.uniform(1, 5))
        second = self.start(folders[0], *forced)
        if second.wait(LONGEST) == 0:
            say("the second run in one clone waited")
        first.wait(LONGEST)
        self.finish(folders[0])
        self.compare(folders[0], "two runs in one clone")

    def compare(self, folder: Path, what: str) -> None:
        """Fail where the clone is not as the undisturbed run left its own."""
        lock = (
            folder / "dvc.lock"
        )  # its stages stand in the order in which they ran, which DVC leaves to chance
        same = lock.exists() and read_yaml(lock) == self.expected
        if not same:
            self.fail(f"{what}: dvc.lock differs from that of the undisturbed run ({folder})")
        if left := unfinished(folder):
            self.counts["leftovers"] += len(left)
            self.fail(f"{what}: left unfinished: {', '.join(map(str, left))}")
        again = self.start(folder)
        again.wait(LONGEST)
        if "Running stage" in self.log(folder):
            self.fail(f"{what}: a second dvc repro runs something:\n{self.log(folder)[-1500:]}")
        say(f"{what}: {'the undisturbed dvc.lock' if same else 'ANOTHER dvc.lock'}")

    def fail(self, message: str) -> None:
        self.failures.append(message)
        say(f"FAILED: {message}")


def say(text: str) -> None:
    print(text, flush=True)


def processes_in(folder: Path) -> list[psutil.Process]:
    """All processes that work in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(
                folder
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def stages_of(pid: int) -> list[psutil.Process]:
    """The processes of stages, their scoring processes among them, that a DVC runs now."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if stage_name(child) and not is_watcher(child)]


def is_watcher(process: psutil.Process) -> bool:
    """Whether this process only waits for the end of a stage's DVC: it leads a session of its own."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return True  # it has ended


def stage_name(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return next((word.removeprefix("stages.") for word in words if word.startswith("stages.")), "")


def kill(processes: Iterable[psutil.Process], sent: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(sent)
        except psutil.NoSuchProcess:
            continue


def unfinished(folder: Path) -> list[Path]:
    """What a killed process left half-made."""
    return [
        path
        for part in ("data", "metrics", "report", "work")
        for path in (folder / part).rglob(".*")
        if is_temporary(path)
    ]


def kept_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "work").rglob("*") if KEPT.fullmatch(path.name)]


def mount(place: Path, size: int, *options: str) -> None:
    """A disk of `size` KiB in memory at a folder."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "tmpfs", place],
        check=True,
    )


def can_mount(root: Path) -> bool:
    place = root / "mounted"
    place.mkdir()
    try:
        mount(place, 64)
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["umount", place], check=True)
    return True


def torture(
    root: Path,
    params_of: Callable[[Path], dict[str, Any]],
    target: list[str],
    n_kills: int,
    seed: int,
    parts: str,
) -> Torture:
    """Disturb the pipeline in `root`, up to the stages `target` (none: all), by the PARTS that are named."""
    make_sources(root)
    found = Torture(root, params_of(root / "data"), target, seed)
    found.undisturbed()
    if "kills" in parts:
        found.kills(n_kills)
    if "bits" in parts:
        found.flipped_bits(10)
    if "together" in parts:
        found.two_at_once()
    if "disks" in parts and can_mount(root):
        found.full_disks()
    elif "disks" in parts:
        say("full disks: left out, for only root may mount one")
    return found


def main(
    kills: Annotated[int, typer.Option(help="random kills")] = 50,
    seed: Annotated[int, typer.Option(help="of the random times and places")] = 0,
    only: Annotated[str, typer.Option(help="of the parts, by default all")] = PARTS,
) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as root:
        found = torture(Path(root), several_shards, [], kills, seed, only)
    for name, count in sorted(found.counts.items()):
        say(f"{count:4}  {name}")
    say(f"{len(found.failures)} failures, in {(time.monotonic() - started) / 60:.0f} minutes")
    if found.failures:
        sys.exit("\n".join(found.failures))


def several_shards(data: Path) -> dict[str, Any]:
    """Params with which a model scores a suite in several shards."""
    params = small_params(data)
    params["extract_tokens"]["shard_chars"] = 200
    return params


if __name__ == "__main__":
    typer.run(main)
