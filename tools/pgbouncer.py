"""Start a private PgBouncer in front of a server, for the tests.

Its configuration, its log and its socket are in a directory of its own, which goes with it. It
trusts everyone who reaches that socket: its own user, and root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tools.postgres import PR_SET_PDEATHSIG, SERVER_USER

PORT = 6432  # Of the socket's name only: nothing listens on TCP.
START_SECONDS = 30


class PgBouncerError(Exception):
    """PgBouncer cannot be had; the message is one sentence for the person at the terminal."""


def find_pgbouncer() -> Path | None:
    """Return the program that APPSCHEMA_PGBOUNCER names, else the system's, if there is one."""
    if asked := os.environ.get("APPSCHEMA_PGBOUNCER"):
        if not Path(asked).is_file():
            raise PgBouncerError(
                f"APPSCHEMA_PGBOUNCER names {asked!r}, which is no file. Correct it or unset it."
            )
        return Path(asked)
    # Debian installs it where only root's PATH leads.
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def version_of(program: Path) -> tuple[int, int]:
    """Return the version of PgBouncer as (1, 18)."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise PgBouncerError(f"{str(program)!r} does not tell its version: {done.stdout!r}.")
    return int(found[1]), int(found[2])


class PgBouncer:
    """A PgBouncer in front of the server that *server* tells: host, port, user and password.

    ``pool_mode`` is session, transaction or statement; ``pool_size`` the number of connections
    to each database; ``settings`` whatever else stands in the ``[pgbouncer]`` section.
    """

    def __init__(
        self,
        server: Mapping[str, object],
        *,
        pool_mode: str = "transaction",
        pool_size: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.server = dict(server)
        self.settings = {
            "listen_port": str(PORT),
            "auth_type": "trust",
            "pool_mode": pool_mode,
            "default_pool_size": str(pool_size),
            "max_client_conn": "500",
            **(settings or {}),
        }
        self.port = PORT
        self._user = pwd.getpwnam(SERVER_USER) if os.geteuid() == 0 else None
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def socket_directory(self) -> str:
        """The host to connect to."""
        if self._directory is None:
            raise PgBouncerError("PgBouncer is not started. Call start() first.")
        return str(self._directory)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        program = find_pgbouncer()
        if program is None:
            raise PgBouncerError(
                "There is no program 'pgbouncer'. Install it, or set APPSCHEMA_PGBOUNCER to its path."
            )
        # Below the system's directory: short enough for a socket, and in reach of the other user.
        self._directory = Path(tempfile.mkdtemp(prefix="appschema-pgbouncer-"))
        try:
            self._write_configuration(self._directory)
            self._launch(program, self._directory)
            self._wait(self._directory)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it at once, whoever is connected, and remove its directory."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _write_configuration(self, directory: Path) -> None:
        server = " ".join(
            f"{key}={_quote(value)}"
            for key, value in self.server.items()
            if key in ("host", "port", "password") and value
        )
        user = str(self.server["user"])
        settings = {
            **self.settings,
            "unix_socket_dir": str(directory),
            "auth_file": str(directory / "users.txt"),
            "admin_users": user,
        }
        lines = ["[databases]", f"* = {server}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        (directory / "users.txt").write_text(f'"{user}" ""\n')
        (directory / "pgbouncer.ini").write_text("\n".join([*lines, ""]))
        if self._user:
            for path in (directory, *directory.iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _launch(self, program: Path, directory: Path) -> None:
        libc = ctypes.CDLL(None)

        def die_with_parent() -> None:
            # After the change of user, which would clear it.
            if sys.platform == "linux":
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, directory / "pgbouncer.ini"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it calls nothing but libc
            )

    def _wait(self, directory: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(directory / f".s.PGSQL.{PORT}"):
            died = self._process is not None and self._process.poll() is not None
            if died or time.monotonic() > deadline:
                log = (directory / "log").read_text(errors="replace").strip()
                raise PgBouncerError(f"PgBouncer did not start: {log or 'it says nothing'}")
            time.sleep(0.02)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
