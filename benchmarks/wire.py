"""A relay between a client and PostgreSQL that counts the messages of the protocol."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SENT = {
    b"Q": "Query",
    b"P": "Parse",
    b"B": "Bind",
    b"D": "Describe",
    b"E": "Execute",
    b"S": "Sync",
    b"C": "Close",
    b"d": "CopyData",
    b"c": "CopyDone",
    b"f": "CopyFail",
    b"p": "Password",
}
# Flush only asks for answers early, whenever psycopg has waited for a moment, and Terminate may
# arrive when the client is long past: neither can be counted the same twice.
_PASSED_OVER = {b"H", b"X"}
_READY = b"Z"


@dataclass
class Traffic:
    """What was sent and answered."""

    messages: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    answered_bytes: int = 0
    round_trips: int = 0
    """How often the server was ready for more: once for what was sent together."""

    @property
    def total(self) -> int:
        """How many messages were sent."""
        return self.messages.total()

    def summary(self) -> str:
        """Return the messages in words."""
        return ", ".join(f"{number} {name}" for name, number in sorted(self.messages.items()))


class Relay:
    """Counts the messages of all connections to ``url`` that are made over the relay's own."""

    def __init__(self, url: str) -> None:
        server = conninfo_to_dict(url)
        self._host, self._port = str(server.get("host", "")), int(str(server.get("port", 5432)))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._traffic = Traffic()
        port = self._listener.getsockname()[1]
        self.address = {
            "host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable",
        }  # fmt: skip
        threading.Thread(target=self._accept, daemon=True).start()

    def url_of(self, url: str) -> str:
        """Return *url* over the relay."""
        return make_conninfo(url, **self.address)

    def take(self) -> Traffic:
        """Return what was counted since the last time."""
        with self._lock:
            taken, self._traffic = self._traffic, Traffic()
        return taken

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            server = self._connect()
            for source, target, count in (
                (client, server, self._sent),
                (server, client, self._answered),
            ):
                if source.family != socket.AF_UNIX:
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                relay = _Direction(source, target, count, starts=source is client)
                threading.Thread(target=relay.run, daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host or "127.0.0.1", self._port))

    def _sent(self, kind: bytes, size: int) -> None:
        if kind in _PASSED_OVER:
            return
        with self._lock:
            self._traffic.messages[_SENT.get(kind, "Startup")] += 1
            self._traffic.sent_bytes += size

    def _answered(self, kind: bytes, size: int) -> None:
        with self._lock:
            self._traffic.answered_bytes += size
            self._traffic.round_trips += kind == _READY


class _Direction:
    """One direction of one connection: what is counted is counted before it is passed on."""

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        count: Callable[[bytes, int], None],
        *,
        starts: bool,
    ) -> None:
        self._source, self._target, self._count = source, target, count
        self._starting = starts  # The first message of a client has no letter.
        self._buffer = b""

    def run(self) -> None:
        try:
            while data := self._source.recv(65536):
                self._buffer += data
                self._read()
                self._target.sendall(data)
        except OSError:
            pass  # The other side has gone; so does this one.
        finally:
            for each in (self._source, self._target):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # It is shut already.

    def _read(self) -> None:
        while True:
            letter = 0 if self._starting else 1
            if len(self._buffer) < letter + 4:
                return
            size = letter + int.from_bytes(self._buffer[letter : letter + 4], "big")
            if len(self._buffer) < size:
                return
            self._count(self._buffer[:letter], size)
            self._buffer = self._buffer[size:]
            self._starting = False
