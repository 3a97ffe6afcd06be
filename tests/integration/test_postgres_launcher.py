"""The launcher of `tools/postgres.py`: whatever happens to its user, no server is left, and nobody's data is lost."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django
import psycopg
import pytest

from tests.server import home_of_servers
from tools import postgres
from tools.postgres import PROJECT, PostgresError, PostgresServer, find_binaries, memory_home

# Django is no part of this: once on the embedded programs and once on the system's is enough.
pytestmark = pytest.mark.skipif(django.VERSION >= (6, 1), reason="Django's older cells run it")

SECONDS = 60


@pytest.fixture
def home() -> Iterator[Path]:
    with home_of_servers("launcher-tests") as directory:
        yield directory


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def postmaster(server: PostgresServer) -> int:
    return int((server.directory / "data" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(pid: int) -> bool:
    try:
        if Path("/proc/self").exists():
            # A zombie is not alive: in a container nobody may reap it.
            return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def client(home: Path, code: str, name: str | None = "kept") -> subprocess.Popen[str]:
    """Start a process that starts the server, runs `code` and tells what it prints."""
    program = f"from pathlib import Path\nfrom tools.postgres import *\nserver = PostgresServer({name!r}, home=Path({str(home)!r}))\nserver.start()\n"
    command = [sys.executable, "-c", program + textwrap.dedent(code)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


WAIT = 'print((server.directory / "data" / "postmaster.pid").read_text().split()[0], server.directory, flush=True)\ninput()\n'


def test_a_throwaway_server_is_deleted_when_it_stops(home):
    with PostgresServer(home=home) as server:
        pid = postmaster(server)
        for url in (server.url, server.socket_url):
            with psycopg.connect(url) as connection:
                assert connection.execute("SHOW fsync").fetchone() == ("off",)
    assert not is_alive(pid)
    assert not server.directory.exists()


def test_a_named_server_keeps_its_data_and_is_durable(home):
    with (
        PostgresServer("kept", home=home, tcp=False) as server,
        psycopg.connect(server.url) as connection,
    ):
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with (
        PostgresServer("kept", home=home, tcp=False) as server,
        psycopg.connect(server.url) as connection,
    ):
        assert connection.execute("TABLE kept").fetchone() == (42,)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", ["kept", None])
def test_a_killed_user_leaves_no_server(home, number, name):
    with client(home, WAIT, name) as process:
        pid, directory = process.stdout.readline().split()
        process.send_signal(number)
    assert eventually(lambda: not is_alive(int(pid)))
    assert name or eventually(lambda: not Path(directory).exists())


def test_a_killed_supervisor_takes_the_server_along(home):
    with PostgresServer("kept", home=home) as server:
        pid = postmaster(server)
        server._supervisor.kill()
        server._supervisor.wait()
        if sys.platform == "linux":
            assert eventually(lambda: not is_alive(pid))
    with PostgresServer("kept", home=home) as server, psycopg.connect(server.url):
        assert postmaster(server) != pid


def test_a_killed_server_is_started_again(home):
    with PostgresServer("kept", home=home) as server:
        os.kill(postmaster(server), signal.SIGKILL)
        server._supervisor.wait()
    with PostgresServer("kept", home=home) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_users_share_a_server_until_the_last_one_leaves(home):
    with PostgresServer("kept", home=home) as first:
        second = PostgresServer("kept", home=home)
        second.start()
        assert second.port == first.port
        second.stop()
        with psycopg.connect(first.url):
            pid = postmaster(first)
    assert not is_alive(pid)


def test_many_starts_at_once_make_one_server(home):
    processes = [client(home, WAIT) for _ in range(4)]
    pids = {process.stdout.readline().split()[0] for process in processes}
    for process in processes:
        process.communicate("\n")
    assert len(pids) == 1
    assert eventually(lambda: not any(is_alive(int(pid)) for pid in pids))


def test_starts_and_stops_at_once_always_find_a_server(home):
    def work(_: int) -> None:
        for _ in range(3):
            with (
                PostgresServer("kept", home=home) as server,
                psycopg.connect(server.url) as connection,
            ):
                assert connection.execute("SELECT 1").fetchone() == (1,)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_pid_file_that_names_another_process_is_no_obstacle(home):
    with PostgresServer("kept", home=home) as server:
        pid_file = server.directory / "data" / "postmaster.pid"
        text = pid_file.read_text()
    with subprocess.Popen(["sleep", "60"]) as other:
        pid_file.write_text(text.replace(text.splitlines()[0], str(other.pid), 1))
        shutil.chown(pid_file, server.directory.joinpath("data").stat().st_uid)
        with PostgresServer("kept", home=home) as server, psycopg.connect(server.url):
            assert other.poll() is None
        other.kill()


def test_a_pid_file_of_a_dead_process_is_no_obstacle(home):
    with PostgresServer("kept", home=home) as server:
        pid_file = server.directory / "data" / "postmaster.pid"
        text = pid_file.read_text()
    pid_file.write_text(text)
    shutil.chown(pid_file, server.directory.joinpath("data").stat().st_uid)
    with PostgresServer("kept", home=home) as server, psycopg.connect(server.url):
        pass


def test_a_start_killed_while_it_makes_the_cluster_is_made_good_by_the_next(home):
    with client(home, "") as process:
        assert eventually(lambda: any(home.glob("kept/partial-*")))
        process.kill()
    with PostgresServer("kept", home=home) as server, psycopg.connect(server.url):
        pass


def test_a_throwaway_directory_whose_processes_were_killed_is_swept(home):
    with PostgresServer(home=home) as server:
        os.kill(server._supervisor.pid, signal.SIGSTOP)
        pid = postmaster(server)
        server._supervisor.kill()
        server._supervisor.wait()
        assert eventually(lambda: not is_alive(pid))
    assert server.directory.exists()
    with PostgresServer(home=home):
        assert not server.directory.exists()


def test_data_in_memory_are_swept_as_those_on_a_disk_are(home, monkeypatch):
    monkeypatch.setattr(postgres, "MEMORY", home)
    monkeypatch.setattr(postgres, "ROOM_IN_MEMORY", 0)
    with PostgresServer(in_memory=True) as server:
        assert server.directory.parent == home / f"django-appschema-{os.geteuid()}"
        with psycopg.connect(server.url):
            pass
    assert not server.directory.exists()


def test_a_server_with_a_name_is_never_in_memory(home):
    with PostgresServer("kept", home=home, in_memory=True) as server:
        assert server.directory == home / "kept"


@pytest.mark.parametrize("taken_by", ["a link", "a file", "another user", "too little room"])
def test_without_a_directory_in_memory_the_disk_is_used(home, monkeypatch, taken_by):
    monkeypatch.setattr(postgres, "MEMORY", home)
    monkeypatch.setattr(postgres, "ROOM_IN_MEMORY", 0)
    name = home / f"django-appschema-{os.geteuid()}"
    match taken_by:
        case "a link":
            name.symlink_to(home)
        case "a file":
            name.touch()
        case "another user":
            name.mkdir()
            user = os.geteuid()
            monkeypatch.setattr(os, "geteuid", lambda: user + 1)
            name.rename(home / f"django-appschema-{user + 1}")
        case "too little room":
            monkeypatch.setattr(postgres, "ROOM_IN_MEMORY", 1 << 60)
    assert memory_home() is None


def test_a_deep_directory_does_not_break_the_socket(home):
    deep = home / ("d" * 60) / ("e" * 60)
    with PostgresServer(home=deep) as server, psycopg.connect(server.socket_url):
        socket_directory = Path(server.socket_directory)
        assert socket_directory.stat().st_mode & 0o777 == 0o700
    assert not socket_directory.exists()


def test_a_port_in_use_is_named(home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            PostgresError,
            match=rf"^Port {port} of 127\.0\.0\.1 is not free \(.*\)\. Choose another",
        ):
            PostgresServer(home=home, port=port).start()


def test_absent_binaries_are_named(home, tmp_path):
    with pytest.raises(
        PostgresError,
        match=r"^There is no 'initdb' in '.*'\. Install PostgreSQL there or name another directory\.$",
    ):
        find_binaries(tmp_path)


def test_a_full_disk_is_one_sentence(home):
    server = PostgresServer(home=home)
    assert server._explain("initdb: error: could not write: No space left on device") == (
        f"There is no space left on the disk of {str(home)!r}. Free some, or set APPSCHEMA_POSTGRES_DIR to a directory on another disk."
    )


def test_data_of_another_version_are_refused_in_words(home):
    with PostgresServer("kept", home=home) as server:
        version = server.directory / "data" / "PG_VERSION"
    version.write_text("14\n")
    with pytest.raises(
        PostgresError,
        match=r"were written by PostgreSQL 14, these binaries are PostgreSQL \d+\. Use the binaries of PostgreSQL 14 or delete",
    ):
        PostgresServer("kept", home=home).start()


def test_a_signal_to_the_terminals_group_does_not_reach_the_server(home):
    with PostgresServer("kept", home=home) as server:
        assert os.getsid(server._supervisor.pid) == server._supervisor.pid
        assert os.getpgid(postmaster(server)) != os.getpgid(0)
