"""Forms: what clients send comes out byte for byte, what is none is refused with a reason, and none costs more than it weighs."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.http.multipart import PARTS, WINDOW, Part, boundary_of, parts_of
from models.errors import InputError, LimitError

HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'


@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_what_a_client_of_the_web_sends_comes_out_byte_for_byte(contents: list[bytes], named: bool) -> None:
    files = [("file", (f'a "{i}";ü.png', content) if named else (None, content)) for i, content in enumerate(contents)]
    sent = httpx2.Request("POST", "http://x", files=[*files, ("other", (None, b"5"))])
    parts = parts_of(sent.read(), boundary_of(sent.headers["content-type"]))
    assert parts == [*(Part(b"file", memoryview(content)) for content in contents), Part(b"other", memoryview(b"5"))]


@pytest.mark.parametrize("times", [1, 2, 10])
def test_a_boundary_across_the_end_of_a_window_is_found(times: int) -> None:
    boundary = b"0d4f6a3c1b2e4f5a9c8d7e6f5a4b3c2d"
    head = b'--%s\r\ncontent-disposition: form-data; name="file"\r\n\r\n' % boundary
    for short in range(2 * len(boundary) * times):
        content = b"\r\n--x" * (times * WINDOW // 5) + b"y" * short
        assert parts_of(head + content + b"\r\n--%s--\r\n" % boundary, boundary) == [Part(b"file", memoryview(content))]


NAMES = {
    b'form-data; name="file"; filename="a\\"b.png"': b"file",
    b'form-data; filename="name=x; y.png"; name="file"': b"file",
    b"form-data; name=file": b"file",
    b"form-data; NAME = file ; x=y": b"file",
    b'form-data; filename=a b.png; name="file"': b"file",
    b'form-data; name="file"; filename="C:\\photos\\"': b"file",
    b"form-data; name*=UTF-8''x; name=\"file\"": b"file",
    'form-data; name="bild"; filename="größe.png"'.encode(): b"bild",
    b'form-data; name="fi\\\\le"': b"fi\\le",
}


@pytest.mark.parametrize("disposition", NAMES, ids=lambda value: value.decode())
def test_a_name_is_found_however_clients_write_it(disposition: bytes) -> None:
    body = (
        b"\r\n--b \r\nContent-Type: image/png\r\nContent-Disposition:" + disposition + b"\r\n\r\nx\r\n--b--\r\nepilogue"
    )
    assert parts_of(body, b"b") == [Part(NAMES[disposition], memoryview(b"x"))]


BROKEN = {
    "nothing": (b"", "must begin with"),
    "another boundary": (HEAD.replace(b"--b", b"--c") + b"x\r\n--c--", "must begin with"),
    "no closing boundary": (HEAD + b"x", "no closing boundary"),
    "no part after the last boundary": (HEAD + b"x\r\n--b\r\n", "part 1: its headers do not end"),
    "a boundary in the middle of a line": (HEAD + b"x\r\n--bc\r\n--b--", "part 1: its boundary does not end"),
    "a part without headers": (b"--b\r\n\r\n\r\n\r\nx\r\n--b--", "part 0 has no content-disposition"),
    "a part without a name": (b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--", "with a name"),
    "a header without a colon": (b"--b\r\nnonsense\r\n\r\nx\r\n--b--", "without a colon"),
    "a header of a megabyte": (b"--b\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n\r\n--b--", "within 4096 bytes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_form_is_refused_and_the_message_says_why(name: str) -> None:
    body, reason = BROKEN[name]
    with pytest.raises(InputError, match=f"cannot be read.*{reason}") as caught:
        parts_of(body, b"b")
    assert caught.value.code == "invalid_multipart"


@pytest.mark.parametrize("kind", ["", "; boundary=", "; boundary=" + "b" * 257, "; boundary", "; charset=utf-8"])
def test_a_content_type_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="must name a boundary"):
        boundary_of(f"multipart/form-data{kind}")


@pytest.mark.parametrize(
    "kind", ["; boundary=b", '; Boundary="b"', "; charset=punycode; boundary=b", "; x=; boundary=b"]
)
def test_of_a_content_type_the_boundary_counts_and_nothing_else(kind: str) -> None:
    assert boundary_of(f"multipart/form-data{kind}") == b"b"


@pytest.mark.parametrize("times", [1, 10])
def test_a_form_of_more_parts_than_there_may_be_is_refused(times: int) -> None:
    part = HEAD + b"x\r\n"
    assert len(parts_of(part * PARTS + b"--b--", b"b")) == PARTS
    with pytest.raises(LimitError, match=f"more than {PARTS} parts"):
        parts_of(part * (PARTS * times + 1) + b"--b--", b"b")
