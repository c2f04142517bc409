"""Reaching NATS: TLS with client certificates, logins, a server that leaves, one that falls silent."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import nkeys
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.runtime.bus import Bus, BusError, BusOptions, Message
from tests.support.nats import NatsServer, nats_server
from tests.support.ports import free_port
from tests.support.waiting import eventually


def _certificate(folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None):  # type: ignore[no-untyped-def]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    else:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(authority, critical=False)
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key


async def _connects(bus: Bus, timeout: float = 5) -> None:
    await bus.start()
    await asyncio.wait_for(bus.wait_connected(), timeout)


async def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority = _certificate(tmp_path, "ca", None)
    _certificate(tmp_path, "server", authority)
    _certificate(tmp_path, "client", authority)
    config = f"""tls {{ cert_file: "{tmp_path}/server.crt", key_file: "{tmp_path}/server.key",
        ca_file: "{tmp_path}/ca.crt", verify: true }}"""
    async with nats_server(tmp_path / "nats", config) as server:
        good = Bus(
            BusOptions(
                servers=(server.url,),
                name="good",
                ca=f"{tmp_path}/ca.crt",
                cert=f"{tmp_path}/client.crt",
                key=f"{tmp_path}/client.key",
            )
        )
        await _connects(good)
        await server.restart()
        await eventually(lambda: good.connected)
        without = Bus(BusOptions(servers=(server.url,), name="without", ca=f"{tmp_path}/ca.crt"))
        stranger = Bus(BusOptions(servers=(server.url,), name="stranger"))
        for bus in (without, stranger):
            with pytest.raises(TimeoutError):
                await _connects(bus, 1)
            await bus.close()
        await good.close()


@pytest.mark.parametrize("field", ["ca", "cert", "key", "creds", "nkey"])
async def test_a_missing_file_is_said_by_its_option(field: str) -> None:
    bus = Bus(BusOptions(servers=("nats://127.0.0.1:1",), name="x", **{field: "/nowhere/file"}))  # type: ignore[arg-type]
    with pytest.raises(BusError, match=f"--nats-{field}: no such file: /nowhere/file"):
        await bus.start()


async def test_a_refused_login_is_tried_again_until_it_is_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    (tmp_path / "seed.nk").write_bytes(seed)
    public = nkeys.from_seed(bytearray(seed)).public_key.decode()
    other = nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))).public_key.decode()
    async with nats_server(tmp_path / "nats", f"authorization {{ users: [{{ nkey: {other} }}] }}") as server:
        bus = Bus(BusOptions(servers=(server.url,), name="x", nkey=str(tmp_path / "seed.nk")))
        with pytest.raises(TimeoutError):
            await _connects(bus, 1)
        assert "uthorization" in caplog.text
        server.config = f"authorization {{ users: [{{ nkey: {public} }}] }}"
        await server.restart()
        await asyncio.wait_for(bus.wait_connected(), 10)
        await bus.close()


async def test_passwords_in_addresses_are_used_and_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with nats_server(tmp_path / "nats", "authorization { user: u, password: hunter2 }") as server:
        bus = Bus(BusOptions(servers=(server.url.replace("//", "//u:hunter2@"),), name="x"))
        await _connects(bus)
        assert "hunter2" not in bus.url
        server.kill()
        await eventually(lambda: "cannot connect" in caplog.text)
        await bus.close()
    assert "hunter2" not in "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("services"))


async def test_a_server_in_lame_duck_mode_is_left_for_another(tmp_path: Path) -> None:
    routes = [free_port(), free_port()]

    def cluster(own: int, other: int) -> str:
        return f"""server_name: s{own}
            authorization {{ user: u, password: p }}
            cluster {{ name: c, host: 127.0.0.1, port: {own}, routes: ["nats://127.0.0.1:{other}"] }}
            jetstream: disabled"""

    servers = [
        NatsServer(tmp_path / "a", cluster(routes[0], routes[1])),
        NatsServer(tmp_path / "b", cluster(routes[1], routes[0])),
    ]
    try:
        await servers[0].start()
        seen: list[bytes] = []

        async def note(message: Message) -> None:
            seen.append(message.data)

        moving = Bus(BusOptions(servers=(servers[0].url.replace("//", "//u:p@"),), name="moving"))
        staying = Bus(BusOptions(servers=(servers[1].url.replace("//", "//u:p@"),), name="staying"))
        await moving.subscribe("t.x", note)
        await _connects(moving)
        await servers[1].start()  # joins while the connection stands
        await _connects(staying)
        assert moving.url == servers[0].url
        await staying.subscribe("t.there", note)

        async def routed() -> bool:
            await moving.publish("t.there", b"there")
            return b"there" in seen

        await eventually(routed)
        os.kill(servers[0].pid, signal.SIGUSR2)
        await eventually(lambda: moving.url == servers[1].url, 10)
        await staying.publish("t.x", b"here")
        await eventually(lambda: b"here" in seen)
        await moving.close()
        await staying.close()
    finally:
        for server in servers:
            server.kill()


async def test_a_silent_peer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.runtime.bus.connection.PING_INTERVAL", 0.2)
    async with nats_server(tmp_path / "nats") as server:
        bus = Bus(BusOptions(servers=(server.url,), name="x"))
        await _connects(bus)
        os.kill(server.pid, signal.SIGSTOP)  # the kernel still acknowledges: only a ping tells
        await eventually(lambda: not bus.connected, 10)
        os.kill(server.pid, signal.SIGCONT)
        await asyncio.wait_for(bus.wait_connected(), 15)
        await bus.close()


async def test_a_peer_that_is_no_nats_server_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        bus = Bus(BusOptions(servers=(f"nats://127.0.0.1:{port}",), name="x"))
        await bus.start()
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        client, _ = await asyncio.wait_for(loop.sock_accept(listening), 5)
        await loop.sock_sendall(client, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.close()
        again, _ = await asyncio.wait_for(loop.sock_accept(listening), 10)
        again.close()
    server = NatsServer(tmp_path / "nats", port=port)
    try:
        await server.start()
        await asyncio.wait_for(bus.wait_connected(), 10)
        await bus.close()
    finally:
        server.kill()


async def test_closing_is_quick_whatever_the_state(tmp_path: Path) -> None:
    bus = Bus(BusOptions(servers=(f"nats://127.0.0.1:{free_port()}",), name="x"))
    await bus.start()
    await asyncio.wait_for(bus.close(), 3)
    async with nats_server(tmp_path / "nats") as server:
        bus = Bus(BusOptions(servers=(server.url,), name="x"))
        await _connects(bus)
        waiting = asyncio.ensure_future(bus.ask("t.x", timeout=60))
        os.kill(server.pid, signal.SIGSTOP)
        await asyncio.wait_for(bus.close(), 5)
        os.kill(server.pid, signal.SIGCONT)
        await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), 3)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()] == []


def test_connecting_needs_no_web_framework() -> None:
    script = (
        "import services.runtime.bus, sys; print('aiohttp' in sys.modules); import aiohttp; print(aiohttp.__name__)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "aiohttp"]


def test_what_cannot_be_reached_is_said() -> None:
    with pytest.raises(BusError, match=r"ws://.*not supported"):
        Bus(BusOptions(servers=("ws://user:secret@127.0.0.1:1",), name="x"))
    with pytest.raises(BusError, match="no NATS server"):
        Bus(BusOptions(servers=(), name="x"))


@pytest.mark.parametrize("server", ["garbage::", "nats://user:secret@h:port", "nats://", "nats://h:0", "nats://[::1"])
def test_what_is_no_address_is_said_without_its_login(server: str) -> None:
    with pytest.raises(BusError, match="is not a URL such as nats://") as caught:
        Bus(BusOptions(servers=(server,), name="x"))
    assert "secret" not in str(caught.value)
