"""A machine with a real systemd in it (systemd-nspawn), on which hub and central run as the services they are.

Its files are the host's own, bound read-only: /usr, the Python that runs this, the environment and the sources. What it
writes lies in a folder that is thrown away. It has no network but its own loopback. Needs root, and the Debian package
systemd-container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SOURCES = Path(__file__).parents[2]
SYSTEMD = SOURCES / "systemd"
HOME = "/opt/vaktpost"
PYTHON = "/opt/python"
BOOT_S = 60.0
HALT_S = 15.0
_LAUNCHER = f"""#!/bin/sh
# The library of a Python that was built as one is found beside it.
LD_LIBRARY_PATH={PYTHON}/lib exec {HOME}/bin/python3 {HOME}/bin/launch.py "$@"
"""
_LAUNCH = f"""import sys
sys.path[0] = "{HOME}/src"
from vaktpost import main
sys.exit(main())
"""
_STOPPER = """
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
if libc.ptrace(SEIZE, pid, None, None) or libc.ptrace(INTERRUPT, pid, None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
print("stopped", flush=True)
while True:
    _, status = os.waitpid(pid, WALL)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
"""


class MachineError(Exception):
    """The machine cannot be used. The text says what is missing."""


class Machine:
    """One that has been booted. Enter with `booted`."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    async def run(self, *words: str, is_checked: bool = True, timeout_s: float = 60.0) -> str:
        """A command on the machine, as root. Returns what it said."""
        inside = ["nsenter", f"--target={self._leader}", "-m", "-p", "-n", "-u", "-i", "-r", "-w", "--", *words]
        process = await asyncio.create_subprocess_exec(
            *inside, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(timeout_s):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise MachineError(f"{' '.join(words)}: no end within {timeout_s:g} s") from None
        text = said.decode(errors="replace")
        if is_checked and process.returncode:
            raise MachineError(f"{' '.join(words)}: status {process.returncode}: {text.strip()}")
        return text

    async def asked(self, unit: str, *properties: str) -> dict[str, str]:
        """What systemd knows of a unit."""
        said = await self.run("systemctl", "show", f"--property={','.join(properties)}", unit)
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    async def host_pid(self, unit: str) -> int:
        """The unit's main process, as the host numbers it. 0: there is none now."""
        inner = (await self.asked(unit, "MainPID"))["MainPID"]
        return await asyncio.to_thread(_outer, self._leader, inner) if inner != "0" else 0

    async def log(self, unit: str, lines: int = 200) -> str:
        """The end of the unit's log."""
        return await self.run("journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", unit, is_checked=False)


@asynccontextmanager
async def stopped_thread(pid: int) -> AsyncIterator[None]:
    """The main thread of a process stands still, the others do not. Until the process dies, or this is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _STOPPER, str(pid), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said = b"" if process.stdout is None else await process.stdout.readline()
        if said != b"stopped\n":
            _, why = await process.communicate()
            raise MachineError(f"the thread cannot be stopped: {why.decode().strip()}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def booted(name: str) -> AsyncIterator[Machine]:
    """A machine with our units installed and nothing of ours running. Raises MachineError."""
    if os.geteuid() != 0:
        raise MachineError("booting a machine needs root")
    nspawn = shutil.which("systemd-nspawn")
    if nspawn is None:
        raise MachineError("the Debian package systemd-container is needed: make debian")
    root = Path(tempfile.mkdtemp(prefix="vp-", dir="/tmp"))  # short: a socket's path has 107 characters
    name = f"{name}-{os.getpid()}"
    group = _own_group(name)
    process: asyncio.subprocess.Process | None = None
    try:
        _furnish(root)
        words = [
            nspawn,
            f"--directory={root}",
            f"--machine={name}",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--link-journal=no",
            "--console=pipe",
            "--kill-signal=SIGRTMIN+3",
            "--bind-ro=/usr",
            f"--bind-ro={sys.base_prefix}:{PYTHON}",
            f"--bind-ro={SOURCES}:{HOME}/src",
            f"--bind-ro={sysconfig.get_path('purelib')}:{HOME}/lib/{_lib()}/site-packages",
        ]
        if Path("/run/systemd/system").is_dir():
            words = ["systemd-run", "--scope", "--quiet", "--property=Delegate=yes", *words]
        elif group is not None:
            words = ["sh", "-c", 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"', "sh", str(group), *words]
        log = (root / "console.log").open("wb")
        with log:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=asyncio.subprocess.STDOUT
            )
        yield await _up(root, process)
    finally:
        if process is not None:
            await _down(process)
        _clear(root, group)


async def _up(root: Path, process: asyncio.subprocess.Process) -> Machine:
    said = ""
    try:
        async with asyncio.timeout(BOOT_S):
            while True:
                await asyncio.sleep(0.3)
                if process.returncode is not None:
                    break
                leader = _leader(process.pid)
                if leader is None:
                    continue
                machine = Machine(root, leader)
                with contextlib.suppress(MachineError):
                    said = (await machine.run("systemctl", "is-system-running", is_checked=False)).strip()
                if said in {"running", "degraded"}:
                    return machine
    except TimeoutError:
        pass
    console = (root / "console.log").read_text(errors="replace")[-2000:]
    raise MachineError(f"the machine did not come up ({said or 'no answer'}): {console}")


async def _down(process: asyncio.subprocess.Process) -> None:
    leader = _leader(process.pid)
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(HALT_S):
                await process.wait()
        except TimeoutError:
            if leader is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(leader, signal.SIGKILL)  # the first process of its name space: all others go with it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HALT_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


def _furnish(root: Path) -> None:
    for folder in ("etc/systemd/system", "etc/sysusers.d", "etc/tmpfiles.d", "usr/lib", "var", "opt/python"):
        (root / folder).mkdir(parents=True)
    for folder in ("run", "tmp", "proc", "sys", "dev", "root"):
        (root / folder).mkdir()
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path(f"/{link}").is_symlink():
            (root / link).symlink_to(f"usr/{link}")
    shutil.copy("/usr/lib/os-release", root / "usr/lib/os-release")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/machine-id").touch()
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    if Path("/etc/ld.so.cache").exists():
        shutil.copy("/etc/ld.so.cache", root / "etc/ld.so.cache")
    (root / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    for unit in ("hub", "central"):
        shutil.copy(SYSTEMD / f"vaktpost-{unit}.service", root / "etc/systemd/system")
    shutil.copy(SYSTEMD / "vaktpost.sysusers", root / "etc/sysusers.d/vaktpost.conf")
    shutil.copy(SYSTEMD / "vaktpost.tmpfiles", root / "etc/tmpfiles.d/vaktpost.conf")
    home = root / HOME.lstrip("/")
    for place in (home / "bin", home / "src", home / "lib" / _lib() / "site-packages"):
        place.mkdir(parents=True)
    (home / "pyvenv.cfg").write_text(f"home = {PYTHON}/bin\ninclude-system-site-packages = false\n")
    (home / "bin/python3").symlink_to(f"{PYTHON}/bin/{Path(sys.executable).resolve().name}")
    launcher = home / "bin/vaktpost"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    (home / "bin/launch.py").write_text(_LAUNCH)
    root.chmod(0o755)


def _lib() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _own_group(name: str) -> Path | None:
    """A control group of its own, where systemd's hierarchy is ours to make one in."""
    for hierarchy in (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup")):
        if (hierarchy / "cgroup.procs").exists():
            group = hierarchy / f"vaktpost-{name}"
            try:
                group.mkdir()
            except OSError:
                return None
            return group
    return None


def _clear(root: Path, group: Path | None) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    if f" {root}/" in mounts or f" {root} " in mounts:  # never through a mount into what is not ours
        raise MachineError(f"{root} is still mounted; it was left where it is")
    shutil.rmtree(root, ignore_errors=True)
    if group is not None:
        for folder in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()


def _leader(pid: int) -> int | None:
    """The machine's first process: it is the only child of nspawn that is number 1 in its own name space."""
    todo: list[int] = [pid]
    while todo:
        one = todo.pop()
        try:
            numbers = _status(one, "NSpid").split()
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        if len(numbers) > 1 and numbers[-1] == "1":
            return one
        todo += [int(child) for child in children]
    return None


def _outer(leader: int, inner: str) -> int:
    space = Path(f"/proc/{leader}/ns/pid").readlink()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns/pid").readlink() == space and _status(int(folder.name), "NSpid").split()[-1] == inner:
                return int(folder.name)
        except OSError:
            continue
    return 0


def _status(pid: int, key: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return line.split(":", 1)[1]
    return ""
