"""Archives: what a server could not use is refused with its entry; nothing leaves the folder."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from ensemblegen.environments.archive import Contents, examine, unpack
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Event, silent
from tests.environments import planted
from tests.environments.planted import ACTIVATE, FILES, LINKS, Entry, entries, entry

GOOD = {
    "bin/activate": ACTIVATE,
    "lib/libstdc++.so.6.0.33": planted.elf(
        offers=["GLIBCXX_3.4.9", "GLIBCXX_3.4.33", "CXXABI_1.3"]
    ),
    "ensemblegen-env.json": b'{"key": "k"}',
    **{name: data for name, data in FILES.items() if name != "bin/activate"},
}
LINKED = {**LINKS, "lib/libstdc++.so.6": "libstdc++.so.6.0.33"}


def written(folder: Path, data: bytes, name: str = "env.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    """What `examine` says; `unpack` says the same and writes nothing outside of its folder."""
    with pytest.raises(Fault) as raised:
        examine(path, silent)
    assert raised.value.kind == "archive"
    if path.is_file():
        before = sorted(path.parent.rglob("*"))
        with tempfile.TemporaryDirectory(dir=path.parent) as inside, pytest.raises(Fault) as again:
            unpack(path, Path(inside, "unpacked"), silent)
        assert again.value.text == raised.value.text
        assert before == sorted(path.parent.rglob("*"))
    return raised.value.text


def refused(folder: Path, content: list[Entry]) -> str:
    return refusal(written(folder, gzip.compress(planted.tar(content), 1)))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("top", ["", "./"])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_a_good_archive_holds(tmp_path: Path, form: int, top: str, zipped: bool) -> None:
    data = planted.tar(entries(GOOD, LINKED, top), form)
    events: list[Event] = []
    path = written(tmp_path, gzip.compress(data, 1) if zipped else data)
    assert examine(path, events.append) == Contents(
        python="3.11",
        marker=b'{"key": "k"}',
        activate=hashlib.sha256(ACTIVATE).hexdigest(),
        size=sum(map(len, GOOD.values())),
        files=len(GOOD) + len(LINKED),
        libstdcxx=("GLIBCXX_3.4.9", "GLIBCXX_3.4.33"),
        packages={"foo-bar": "2.0", "python": "3.11.7"},
    )
    size = path.stat().st_size
    assert events[-1] == Event("verify", size, size, "bytes")


def test_a_folder_is_read_as_its_archive(tmp_path: Path) -> None:
    made = planted.folder(tmp_path / "env", GOOD, LINKED)
    path = written(tmp_path, planted.tar(entries(GOOD, LINKED)))
    assert examine(made, silent) == examine(path, silent)


def test_unpacked_it_is_the_same_whatever_the_modes(tmp_path: Path) -> None:
    content = entries(GOOD, LINKED)
    for info, _ in content:
        info.mode &= 0o700
    content.append(entry("lib/hard", kind=tarfile.LNKTYPE, target="./bin/python3.11"))
    content.append(entry("share/empty", kind=tarfile.DIRTYPE))
    content.append(entry("lib/python3.11/os.py", b"the last one counts"))
    path = written(tmp_path, gzip.compress(planted.tar(content)))
    unpack(path, tmp_path / "env", silent)
    assert examine(tmp_path / "env", silent).packages == examine(path, silent).packages
    assert (tmp_path / "env/lib/hard").read_bytes() == GOOD["bin/python3.11"]
    assert (tmp_path / "env/lib/python3.11/os.py").read_bytes() == b"the last one counts"
    assert (tmp_path / "env/share/empty").is_dir()
    modes = {
        str(p.relative_to(tmp_path / "env")): stat.S_IMODE(p.stat().st_mode)
        for p in (tmp_path / "env").rglob("*")
        if p.is_file()
    }
    assert modes["bin/activate"] == modes["bin/python3"] == 0o755
    assert modes["lib/python3.11/os.py"] == modes["ensemblegen-env.json"] == 0o644


def test_unpacking_wants_a_fresh_folder(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(planted.tar(entries())))
    (tmp_path / "env").mkdir()
    (tmp_path / "env/mine").touch()
    with pytest.raises(Fault, match="is not empty"):
        unpack(path, tmp_path / "env", silent)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("bin/activate", data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is no archive" * 40, "neither a tar.gz nor a tar"),
        (b"\x28\xb5\x2f\xfd" + bytes(90), "zstd"),
        (lzma.compress(b"x"), "xz"),
        (bz2.compress(b"x"), "bzip2"),
        (zipped(b"x"), "zip"),
        (gzip.compress(b"no tar" * 200), "is damaged"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, data: bytes, says: str) -> None:
    assert says in refusal(written(tmp_path, data))


def test_cut_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = planted.tar(entries(GOOD, LINKED))
    for cut in (100, 512, 600, 1024, len(whole) // 2, len(whole) // 2 // 512 * 512, 512 * 9):
        if cut < 512:
            continue
        assert "too early" in refusal(written(tmp_path, whole[:cut], "env.tar")), cut
    packed = gzip.compress(whole)
    for cut in (len(packed) // 3, len(packed) - 8, len(packed) - 1):
        assert "too early" in refusal(written(tmp_path, packed[:cut])), cut


def test_flipped_bits_are_found(tmp_path: Path) -> None:
    whole = bytearray(planted.tar(entries(GOOD, LINKED)))
    second = 1024  # after the header and the short content of the first entry
    whole[second + 3] ^= 0x40
    assert "is damaged" in refusal(written(tmp_path, bytes(whole), "env.tar"))
    packed = bytearray(gzip.compress(planted.tar(entries(GOOD, LINKED)), 1))
    packed[-6] ^= 1  # of the checksum
    assert "is damaged" in refusal(written(tmp_path, bytes(packed)))


def without(*names: str) -> dict[str, bytes]:
    return {name: data for name, data in FILES.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "links", "says"),
    [
        (without("bin/activate"), {}, "there is no bin/activate"),
        (without("bin/activate"), {"bin/activate": "python3.11"}, "bin/activate is a link"),
        ({**FILES, "bin/activate": b"\n"}, {}, "bin/activate is empty"),
        ({**FILES, "bin/activate": b'VIRTUAL_ENV="/home/x"\n'}, {}, "works nowhere else"),
        (without("bin/python3.11"), {}, "there is no bin/python3"),
        (FILES, {"bin/python3": "/usr/bin/python3.11"}, "this is a venv"),
        (FILES, {"lib/x": "/etc/passwd"}, "lib/x leads out of the environment, to /etc/passwd"),
        (FILES, {"lib/x": "../../y"}, "lib/x leads out of the environment"),
        (FILES, {"lib/up": "..", "x": "lib/up/.."}, "x leads out of the environment"),
        (FILES, {"a": "b", "b": "a"}, "leads out of the environment"),
    ],
)
def test_environments_that_cannot_work(
    tmp_path: Path, files: dict[str, bytes], links: dict[str, str], says: str
) -> None:
    kept = {name: target for name, target in LINKS.items() if name not in links}
    assert says in refused(tmp_path, entries(files, {**kept, **links}))
    assert says in refusal(planted.folder(tmp_path / "env", files, {**kept, **links}))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([entry("/etc/cron.d/x", b"x")], "/etc/cron.d/x is an absolute path"),
        ([entry("lib/../../x", b"x")], "lib/../../x leads out"),
        ([entry("dev", kind=tarfile.CHRTYPE)], "dev is a device"),
        ([entry("pipe", kind=tarfile.FIFOTYPE)], "pipe is a named pipe"),
        ([entry("x", kind=tarfile.LNKTYPE, target="/etc/passwd")], "x is a hard link to"),
        ([entry("x", kind=tarfile.LNKTYPE, target="../y")], "x is a hard link to"),
        (
            [entry("lib64", b"", tarfile.SYMTYPE, "lib"), entry("lib64/x", b"x")],
            "lib64/x goes through the link lib64",
        ),
        (
            [entry("lib64/x", b"x"), entry("lib64", b"", tarfile.SYMTYPE, "lib")],
            "goes through the link lib64",
        ),
    ],
)
def test_entries_that_lead_elsewhere(tmp_path: Path, bad: list[Entry], says: str) -> None:
    assert says in refused(tmp_path, [*entries(), *bad])


def test_a_top_folder_is_explained(tmp_path: Path) -> None:
    assert "everything is below the folder env" in refused(tmp_path, entries(top="env/"))


def test_names_that_the_server_cannot_convert(tmp_path: Path) -> None:
    content = [*entries(), entry("share/Főtanúsítvány.crt", b"x")]
    pax = gzip.compress(planted.tar(content, tarfile.PAX_FORMAT))
    assert "share/Főtanúsítvány.crt is not ASCII" in refusal(written(tmp_path, pax))
    assert examine(written(tmp_path, planted.tar(content, tarfile.GNU_FORMAT)), silent).files


def test_only_what_we_made_may_use_the_servers_python(tmp_path: Path) -> None:
    links = {"bin/python3": "/usr/bin/python3.10", "bin/python": "python3"}
    bare = {"bin/activate": ACTIVATE, "lib/python3.10/site-packages/x.py": b""}
    assert "this is a venv" in refused(tmp_path, entries(bare, links))
    files = {**bare, "ensemblegen-env.json": b"{}"}
    path = written(tmp_path, planted.tar(entries(files, links)))
    assert examine(path, silent).python == "3.10"
    unpack(path, tmp_path / "env", silent)
    assert str((tmp_path / "env/bin/python3").readlink()) == "/usr/bin/python3.10"
    assert "this is a venv" in refused(tmp_path, entries(files, {"bin/python3": "/etc/passwd"}))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Fault) as raised:
        examine(tmp_path / "none.tar.gz", silent)
    assert raised.value.kind == "access"
