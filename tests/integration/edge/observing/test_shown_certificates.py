"""What log lines say of TLS and of the certificate that a client showed, on connections that were asked for one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.hashes import SHA1

from tests.integration.edge.observing.test_access_log import logged
from tests.integration.edge.serving.test_client_certificates import NAME, Clients, ask, guarded
from tests.support.edge import ask as ask_without
from tests.support.edge import request, upstream
from tests.support.pairs import make_pair, pem

FORM = (
    "$ssl_protocol|$ssl_cipher|$ssl_session_reused|$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|"
    "$ssl_client_serial|$ssl_client_fingerprint|$ssl_client_escaped_cert"
)


@pytest.mark.parametrize("mode", ["optional", "optional_no_ca"])
async def test_of_a_client_with_a_certificate_and_of_one_without(tmp_path: Path, mode: str) -> None:
    clients = Clients(tmp_path)
    good = make_pair(common_name="good", issuer=clients.authority)
    unknown = make_pair(common_name="unknown", issuer=clients.stranger)
    async with logged(tmp_path / "log", guarded(mode=mode), clients.record(), log_format_upstream=FORM) as there:
        there.edge.change(upstream(there.site.port))
        for chain in ((good,), (), (unknown,)):
            await ask(there.edge.https, clients.context(*chain))
        await ask_without(there.edge.http, request(name=NAME))
        lines = [line.split("|") for line in await there.lines(4)]
    with_one, without, with_unknown, plain = lines
    assert (with_one[0], with_one[1][:4], with_one[2]) == ("TLSv1.3", "TLS_", ".")
    serial = f"{good[0].serial_number:X}"
    assert with_one[3:] == [
        "SUCCESS",
        "CN=good",
        "CN=authority",
        "0" * (len(serial) % 2) + serial,
        good[0].fingerprint(SHA1()).hex(),
        quote(pem(good[0]), safe=""),
    ]
    assert without[1:4] == [with_one[1], ".", "NONE"]
    assert set(without[4:]) == {"-"}
    assert with_unknown[3:5] == ["FAILED:unable to verify the first certificate", "CN=unknown"]
    assert set(plain) == {"-"}
