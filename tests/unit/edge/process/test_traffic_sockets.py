"""Traffic sockets: bound for all workers before any, silent until they listen, and left without cutting anybody off."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from services.edge.process.sockets import (
    BindError,
    _explain,
    addresses,
    leave,
    open_admin,
    open_sockets,
    take_all,
    turn_away,
)
from services.runtime.settings import HostPort


def close(sets: list) -> None:  # type: ignore[type-arg]
    for one in sets:
        for bound in (*one.http, *one.https):
            bound.close()


def test_every_worker_has_its_own_socket_on_one_port() -> None:
    sets = open_sockets([HostPort("127.0.0.1", 0), HostPort("::1", 0)], [HostPort("127.0.0.1", 0)], 3)
    try:
        assert len({addresses(one.http) for one in sets}) == 1
        assert len({addresses(one.https) for one in sets}) == 1
        assert len({bound.fileno() for one in sets for bound in (*one.http, *one.https)}) == 9
        assert [bound.family for bound in sets[0].http] == [socket.AF_INET, socket.AF_INET6]
    finally:
        close(sets)


def test_nobody_is_answered_before_a_worker_listens() -> None:
    sets = open_sockets([HostPort("127.0.0.1", 0)], [], 2)
    try:
        address = sets[0].http[0].getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 1)
        sets[1].http[0].listen()
        for _ in range(20):  # a worker that only bound takes no connection away from one that listens
            socket.create_connection(address, 1).close()
    finally:
        close(sets)


def test_no_host_means_both_families() -> None:
    sets = open_sockets([HostPort("", 0)], [], 1)
    try:
        assert [bound.getsockname()[0] for bound in sets[0].http] == ["0.0.0.0", "::"]
        assert sets[0].http[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    finally:
        close(sets)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: in use"):
            open_sockets([HostPort("127.0.0.1", port)], [], 1)
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: in use"):
            open_admin(HostPort("127.0.0.1", port))


def test_a_privileged_port_names_the_capability() -> None:
    text = _explain(OSError(errno.EACCES, os.strerror(errno.EACCES)), 80)
    assert "NET_BIND_SERVICE" in text
    assert "port 80 is privileged" in text


def test_an_address_of_another_machine_is_refused_by_name() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1:0"):
        open_sockets([HostPort("192.0.2.1", 0)], [], 1)


def test_a_leaving_listener_cuts_nobody_off() -> None:
    """Connections made while one of two listeners leaves all get an answer, some a second later."""
    sets = open_sockets([HostPort("127.0.0.1", 0)], [], 2)
    leaving, staying = (one.http[0] for one in sets)
    address = leaving.getsockname()
    with ExitStack() as stack:
        stack.callback(close, sets)
        for bound in (leaving, staying):
            bound.listen(128)
            bound.setblocking(True)
        threading.Thread(target=_answer, args=(staying,), daemon=True).start()
        results: list[bytes] = []
        clients = [threading.Thread(target=lambda: results.append(_ask(address)), daemon=True) for _ in range(40)]
        for client in clients[:20]:
            client.start()
        time.sleep(0.05)  # some of the first twenty now wait in the leaving listener's queue
        turn_away([leaving])
        for client in clients[20:]:
            client.start()
        leaving.setblocking(False)
        _answer_who_waits(leaving)
        leaving.shutdown(socket.SHUT_RDWR)
        for client in clients:
            client.join(5)
        assert results == [b"yes"] * 40


def test_a_socket_that_left_may_listen_again() -> None:
    (one,) = open_sockets([HostPort("127.0.0.1", 0)], [], 1)
    (bound,) = one.http
    try:
        bound.listen()
        turn_away([bound])
        leave(one)
        leave(one)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(bound.getsockname(), 1)
        take_all([bound])
        bound.listen()
        socket.create_connection(bound.getsockname(), 1).close()
    finally:
        close([one])


def _ask(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, 5) as client:
        return client.recv(10)


def _answer(listening: socket.socket) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        client.sendall(b"yes")
        client.close()


def _answer_who_waits(listening: socket.socket) -> None:
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        try:
            client, _ = listening.accept()
        except BlockingIOError:
            continue
        client.sendall(b"yes")
        client.close()
