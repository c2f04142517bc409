"""Digest authentication: what a client says, what proves it, and what follows in a request's course."""

from __future__ import annotations

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.codec import record_of
from proto.policies import DigestAuth, SatisfyAny, SourceRanges
from proto.resources import Credentials
from services.edge.core.course import Course, Onward
from services.edge.core.digests import counterproof, proof_in, proves
from services.edge.core.outcomes import Answer, Ask
from services.edge.core.policies.digests import Challenged, Judged
from services.edge.core.user_files import digest_users_in
from tests.unit.edge.core.test_phases import asked, generation, policed, route

RFC = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
    'response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
SECRET = md5(b"Mufasa:http-auth@example.org:Circle of Life").hexdigest().encode()


def test_the_example_of_rfc_7616() -> None:
    proof = proof_in(RFC.encode())
    assert proof is not None
    assert (proof.user, proof.uses, proof.target) == (b"Mufasa", 1, b"/dir/index.html")
    assert proves(proof, b"GET", SECRET)
    assert proves(proof, b"GET", SECRET.upper())
    assert not proves(proof, b"POST", SECRET)
    assert not proves(proof, b"GET", b"0" * 32)
    assert counterproof(proof, SECRET) != proof.response


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Digest ", "Basic "),
        ("algorithm=MD5", "algorithm=SHA-256"),
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("qop=auth,", "qop=auth-int,"),
        ("qop=auth,", ""),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=0000000g"),
        ('response="8', 'response="X'),
        ('username="Mufasa"', 'username=""'),
        ('username="Mufasa"', 'username="Mufasa", username="Scar"'),
        ('username="Mufasa", ', ""),
        ('cnonce="f2', 'xnonce="f2'),
        (", opaque", " opaque"),
        ('uri="/dir/index.html"', 'uri="/dir'),
    ],
)
def test_what_proves_nothing(old: str, new: str) -> None:
    assert old in RFC
    assert proof_in(RFC.replace(old, new).encode()) is None


def test_quotes_within_quotes() -> None:
    proof = proof_in(RFC.replace('"Mufasa"', r'"Mu\"fa\\sa"').encode())
    assert proof is not None
    assert proof.user == rb"Mu\"fa\\sa".replace(b'\\"', b'"').replace(b"\\\\", b"\\")


@given(st.binary(max_size=200))
def test_no_header_is_too_strange(said: bytes) -> None:
    proof_in(b"Digest " + said)


def test_files() -> None:
    text = b"# c\nann:r:%b\nann:r:%b\r\nbob:a:b:%b\nno\n:r:%b\nx:%b\n" % (
        (b"a" * 32, b"b" * 32, b"C" * 32) + (b"d" * 32,) * 2
    )
    assert digest_users_in(text) == {b"ann:r": b"a" * 32, b"bob:a:b": b"C" * 32}


TABLE = generation(route(DigestAuth("ns/users", 'r "x"'))).next(
    [record_of("ns/users", Credentials(sealed_entries={"auth": b"x"}))], (), 1, 2, bytes(32)
)


def test_the_course_of_a_request() -> None:
    course = Course(policed(TABLE), asked(TABLE, "/x?y"))
    said = course.run()
    assert isinstance(said, Ask)
    assert isinstance(said.question, Challenged)
    assert said.question.proof is None
    answer = course.told(said, Judged(nonce=b"n"))
    assert isinstance(answer, Answer)
    assert answer.status == 401
    assert answer.lines == b'WWW-Authenticate: Digest realm="r \\"x\\"", qop="auth", algorithm=MD5, nonce="n"\r\n'


@pytest.mark.parametrize(("uri", "realm", "good"), [("/x?y", "x", True), ("/x", "x", False), ("/x?y", "z", False)])
def test_a_proof_is_for_this_target_and_realm(uri: str, realm: str, good: bool) -> None:
    text = RFC.replace("/dir/index.html", uri).replace("http-auth@example.org", f'r \\"{realm}\\"')
    course = Course(policed(TABLE), asked(TABLE, "/x?y", f"Authorization: {text}"))
    said = course.run()
    assert isinstance(said, Ask)
    assert (said.question.proof is not None) is good
    if not good:
        return
    stale = said.after(Judged(nonce=b"n", stale=True))
    assert isinstance(stale, Answer)
    assert stale.lines.endswith(b'nonce="n", stale=true\r\n')
    assert said.after(None) == Answer(503)
    onward = course.told(said, Judged(b"proved"))
    assert isinstance(onward, Onward)
    assert any(b"authorization" in edit.removed for edit in onward.edits)
    dressed = course.dressed(200, b"")
    assert dressed.startswith(b'Authentication-Info: qop=auth, rspauth="proved", cnonce="f2')


def test_one_guard_may_be_enough() -> None:
    table = generation(route(DigestAuth("ns/users"), SourceRanges(allow=("192.0.2.0/24",)), SatisfyAny()))
    assert isinstance(Course(policed(table), asked(table)).run(), Onward)


def test_without_the_secret_nobody_passes() -> None:
    table = generation(route(DigestAuth("ns/users")))
    assert Course(policed(table), asked(table)).run() == Answer(503)
