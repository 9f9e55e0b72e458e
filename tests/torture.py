"""`make torture`: after any disturbance of a `dvc repro`, later runs give the undisturbed bytes.

The real pipeline on a small input (tests.small_pipeline) runs once undisturbed. Then it is
disturbed in these ways:

- the stage, DVC, the process group or a scoring process is killed at random times;
- the disk is full in each of its folders;
- bits flip in kept files;
- two runs go on at once;
- stages are stopped while their DVC is killed.

After each disturbance it is run again, as a user would run it. Its dvc.lock must be that of the
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

MOST_RUNS = 40  # runs of one lap; a lap that needs more counts as stuck
LATEST = 0.2  # the latest time of a kill, as a share of the time of an undisturbed run
LONGEST = 300.0  # seconds of one run
UNTIL_GONE = 20.0  # seconds in which every process of a killed run must have ended
KEPT = re.compile(r".+\.[0-9a-f]{16}\.(parquet|safetensors)")
PARTS = "kills,bits,together,disks"
# bash becomes the stage; Debian's sh stays between DVC and the stage
SHELLS = ("/bin/bash", "/bin/sh")
VICTIMS = ("stage", "dvc", "group", "dvc by SIGTERM", "group by SIGINT", "stopped stage, then dvc")
# {folder: sizes of a disk for it, in KiB}. Each size is larger than the one before; the last one
# is enough. No folder is itself an output: DVC replaces outputs, which cannot be done to a mounted
# disk.
DISKS = {
    "data": (100, 400, 700, 1_000, 1_400, 2_000, 3_000, 200_000),
    "work": (8, 100, 300, 200_000),
    "metrics": (4, 40, 200_000),
    "tmp": (4, 200_000),
}


class Torture:
    """The disturbances of one pipeline, and what came of them.

    `root` holds the sources and the clones. `expected` is the dvc.lock of the undisturbed run.
    `failures` are messages, and `counts` says how often each thing happened.
    """

    def __init__(self, root: Path, params: dict[str, Any], target: list[str], seed: int):
        self.root = root
        self.params = params
        self.target = target
        self.random = random.Random(seed)
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self.expected: dict[str, Any] = {}
        self.latest_kill = 0.0  # seconds after the start of a run
        # stages that were stopped; when the next run has begun they go on, and must end then
        self.stopped: list[psutil.Process] = []

    def clone(self, name: str) -> Path:
        """A fresh clone that has its own work folder and its own temporary folder."""
        folder = make_clone(self.root, name, self.params)
        (folder / "tmp").mkdir()
        (folder / ".git/info/exclude").write_text("/tmp/\n")
        return folder

    def start(self, folder: Path, *arguments: str, **others: str) -> subprocess.Popen:
        """A running `dvc repro` in its own process group; its output goes to `folder`.log."""
        temporary = str(folder / "tmp")
        settings = environment(folder, TMPDIR=temporary, OMP_WAIT_POLICY="passive", **others)
        command = ["dvc", "repro", *(arguments or self.target)]
        # a shell's background jobs ignore SIGINT
        heed_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with folder.with_suffix(".log").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )

    def finish(self, folder: Path, *arguments: str, **others: str) -> int:
        """The exit status of a `dvc repro` that nothing disturbs.

        `lmcore unlock` runs before it, as in `make repro`.
        """
        self._unlock(folder)
        return self.start(folder, *arguments, **others).wait(LONGEST)

    def log(self, folder: Path) -> str:
        return folder.with_suffix(".log").read_text(errors="replace")

    def undisturbed(self) -> None:
        """Run once without a disturbance, and keep the lock that the other runs must reach."""
        folder = self.clone("undisturbed")
        started = time.monotonic()
        if self.finish(folder):
            sys.exit(f"error: the undisturbed run failed:\n{self.log(folder)[-2000:]}")
        self.expected = read_yaml(folder / "dvc.lock")
        seconds = time.monotonic() - started
        self.latest_kill = LATEST * seconds
        say(f"undisturbed: {self.log(folder).count('Running stage')} stages in {seconds:.0f} s")

    def kills(self, n_kills: int) -> None:
        """Kill `n_kills` runs after random times.

        A lap begins with a fresh clone and runs it, again after each kill, to the end. There are
        as many laps as it takes for `n_kills`.
        """
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
                seconds = self.random.uniform(0.0, self.latest_kill)
                victim = VICTIMS[done % len(VICTIMS)]
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
        """Kill the run after this many seconds; False where it had ended before."""
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
        self._kill(process, stages, victim)
        process.wait(LONGEST)
        self.counts[f"kills of {victim}"] += 1
        self.counts[f"kills in {name}"] += 1
        say(f"killed {victim} after {seconds:.1f} s, in {name}")
        return True

    def _kill(self, process: subprocess.Popen, stages: list[psutil.Process], victim: str) -> None:
        """Send the signals that one of VICTIMS stands for; `process` is the DVC of the stages."""
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

    def _unlock_and_check(self, folder: Path) -> None:
        """Check after a kill that no process goes on, and make DVC usable again."""
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
        """Wait until no process works in the folder any more; fail for those that go on."""
        deadline = time.monotonic() + UNTIL_GONE
        orphans = set(processes_in(folder)) - set(self.stopped)
        while orphans and time.monotonic() < deadline:
            time.sleep(0.05)
            orphans = set(processes_in(folder)) - set(self.stopped)
        for orphan in orphans:
            self.counts["orphans"] += 1
            self.fail(f"an orphan goes on: {' '.join(orphan.cmdline())}")
        kill(orphans, signal.SIGKILL)

    def _check_failure(self, folder: Path) -> None:
        """Fail unless a run that failed by itself says why in one line, without a traceback."""
        text = self.log(folder)
        if "Traceback" in text or "error" not in text.lower():
            self.fail(f"a run failed without a clear line:\n{text[-1500:]}")

    def full_disks(self) -> None:
        """Run a fresh clone with a small disk for one folder, and again each time it has grown."""
        for name, sizes in DISKS.items():
            folder = self.clone(f"full_{name}")
            place = folder / name
            tracked = None  # a copy of what git tracks there, which the mounted disk will hide
            if place.exists():
                tracked = shutil.copytree(place, self.root / f"tracked_{name}")
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
        """Run with a disk of `size` KiB at the folder `name`; a failure must name that folder."""
        status = self.finish(folder)
        text = self.log(folder)
        self._no_orphans(folder)
        if status == 0:
            say(f"a disk of {size} KiB at {name}: enough")
            return
        no_space = [line for line in text.splitlines() if "No space left" in line]
        self.counts[f"full disk at {name}"] += 1
        by_lmcore = [line for line in no_space if re.match(rf"error: \S*{name}", line)]
        by_dvc = []
        for line in text.splitlines():
            names_disk = line in no_space or str(folder / name) in line
            if line.startswith("ERROR: ") and names_disk:
                by_dvc.append(line)
        if "Traceback" in text or not (by_lmcore or by_dvc):
            self.fail(
                f"a full disk at {name} ({size} KiB) is not told in one line that names it:\n"
                f"{text[-1500:]}"
            )
        say(f"a disk of {size} KiB at {name}: {(by_lmcore or by_dvc or no_space or ['?'])[-1]}")

    def flipped_bits(self, times: int) -> None:
        """Damage what a training and an extraction have kept, and run them again.

        Each of them, in turns, is killed when it has kept a file.
        """
        folder = self.clone("flipped")
        self.finish(folder)
        for number in range(times):
            stage = ("train_model@babyllama", "extract_tokens@babyllama")[number % 2]
            forced = ("--single-item", "--force", "--no-run-cache", stage)
            shutil.rmtree(folder / "work")  # what earlier runs kept is not needed again
            process = self.start(folder, *forced)
            prefix = "state" if "train" in stage else "part"  # of files that a later run needs
            self._kill_when_kept(folder, process, prefix)
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

    def _kill_when_kept(self, folder: Path, process: subprocess.Popen, prefix: str) -> None:
        """Wait for a kept file whose name has this prefix, then kill the run's process group.

        Nothing is killed where the run ends before.
        """
        while process.poll() is None:
            if any(file.name.startswith(prefix) for file in kept_files(folder)):
                break
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(LONGEST)

    def _damage(self, file: Path) -> None:
        """Empty a file, or flip one of its bits, at random."""
        content = bytearray(file.read_bytes())
        if self.random.random() < 0.3 or not content:
            content.clear()
        else:
            content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        file.write_bytes(content)

    def two_at_once(self) -> None:
        """Run two clones with one work folder at once, then run one clone twice at once."""
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
        lock = folder / "dvc.lock"
        # parsed values are compared: the stages stand in the order in which they ran, which DVC
        # leaves to chance
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
    """All processes whose working directory is in `folder`, without zombies."""
    processes = []
    for process in psutil.process_iter():
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and Path(process.cwd()).is_relative_to(folder):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def stages_of(pid: int) -> list[psutil.Process]:
    """The processes of the stages that a DVC runs now, with the scoring processes of a stage."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if stage_name(child) and not is_watcher(child)]


def is_watcher(process: psutil.Process) -> bool:
    """Whether this process only waits for the end of a stage's DVC; it leads its own session."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return True  # it has ended


def stage_name(process: psutil.Process) -> str:
    """The name of the stage that a process runs; an empty text where it runs none or has ended."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return next((word.removeprefix("stages.") for word in words if word.startswith("stages.")), "")


def kill(processes: Iterable[psutil.Process], sent: signal.Signals) -> None:
    """Send a signal to those of the processes that have not ended."""
    for process in processes:
        try:
            process.send_signal(sent)
        except psutil.NoSuchProcess:
            continue


def unfinished(folder: Path) -> list[Path]:
    """The temporary files that a killed process left half-made."""
    paths: list[Path] = []
    for name in ("data", "metrics", "report", "work"):
        paths += filter(is_temporary, (folder / name).rglob(".*"))
    return paths


def kept_files(folder: Path) -> list[Path]:
    """The files in the work folder that a later run would use again."""
    return [path for path in (folder / "work").rglob("*") if KEPT.fullmatch(path.name)]


def mount(place: Path, size: int, *options: str) -> None:
    """Mount a disk in memory, of `size` KiB, at a folder."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "tmpfs", place],
        check=True,
    )


def can_mount(root: Path) -> bool:
    """Whether this user may mount a disk."""
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
    """Disturb a pipeline in `root` in the ways of PARTS that `parts` names.

    `params_of` makes the params from the folder of sources. The pipeline runs up to the stages
    `target`; where there are none, it runs whole.
    """
    make_sources(root)
    tortured = Torture(root, params_of(root / "data"), target, seed)
    tortured.undisturbed()
    if "kills" in parts:
        tortured.kills(n_kills)
    if "bits" in parts:
        tortured.flipped_bits(10)
    if "together" in parts:
        tortured.two_at_once()
    if "disks" in parts and can_mount(root):
        tortured.full_disks()
    elif "disks" in parts:
        say("full disks: left out, for only root may mount one")
    return tortured


def main(
    kills: Annotated[int, typer.Option(help="random kills")] = 50,
    seed: Annotated[int, typer.Option(help="of the random times and places")] = 0,
    only: Annotated[str, typer.Option(help="of the parts, by default all")] = PARTS,
) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as root:
        tortured = torture(Path(root), several_shards, [], kills, seed, only)
    for name, count in sorted(tortured.counts.items()):
        say(f"{count:4}  {name}")
    minutes = (time.monotonic() - started) / 60
    say(f"{len(tortured.failures)} failures, in {minutes:.0f} minutes")
    if tortured.failures:
        sys.exit("\n".join(tortured.failures))


def several_shards(data: Path) -> dict[str, Any]:
    """Params with which a model scores a suite in several shards."""
    params = small_params(data)
    params["extract_tokens"]["shard_chars"] = 200
    return params


if __name__ == "__main__":
    typer.run(main)
