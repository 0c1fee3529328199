"""What is no HTTP, or says two things at once: where one reader sees one request and another sees two."""

from __future__ import annotations


def requests(body: bytes) -> dict[str, bytes]:
    """Bytes by name; ``body`` is one that would be answered well."""
    head = b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    length = b"content-length: %d\r\n" % len(body)
    return {**_heads(), **_headers(head, length, body), **_lengths(head, length, body), **_chunks(head, length, body)}


def _heads() -> dict[str, bytes]:
    host = b"host: x\r\n\r\n"
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
    websocket = upgrade + b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    return {
        "noise": bytes((i * 167) % 256 for i in range(2000)),
        "a line feed": b"\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/9": b"GET / HTTP/9.9\r\n" + host,
        "a version that is none": b"GET / HTTX/1.1\r\n\r\n",
        "no path": b"GET HTTP/1.1\r\n\r\n",
        "a path of no slash": b"GET v1/models HTTP/1.1\r\n" + host,
        "a path that is a port": b"GET x:80 HTTP/1.1\r\n" + host,
        "a path of Windows": b"GET \\v1\\models HTTP/1.1\r\n" + host,
        "a path of UTF-8": b"GET /v1/\xc3\xa9 HTTP/1.1\r\n" + host,
        "a path with a blank": b"GET /v1/models x HTTP/1.1\r\n" + host,
        "a path of 20,000 letters": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + host,
        "a NUL in the path": b"GET /v1\0/models HTTP/1.1\r\n" + host,
        "a method of 20,000 letters": b"X" * 20_000 + b" / HTTP/1.1\r\n\r\n",
        "a method in small letters": b"get /v1/models HTTP/1.1\r\n" + host,
        "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + host,
        "a proxy's request": b"GET http://169.254.169.254/ HTTP/1.1\r\n" + host,
        "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + host,
        "no host": b"GET /v1/models/nothing HTTP/1.1\r\n\r\n",
        "two hosts": b"GET /v1/models/nothing HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "a host that is none": b"GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n",
        "lines that end in carriage returns": b"GET /v1/models HTTP/1.1\rhost: x\r\r",
        "WebSockets": b"GET /v1/embeddings HTTP/1.1\r\n" + websocket + host,
        "WebSockets at the root": b"GET / HTTP/1.1\r\n" + websocket + host,
        "half of WebSockets": b"GET / HTTP/1.1\r\n" + upgrade + host,
    }


def _headers(head: bytes, length: bytes, body: bytes) -> dict[str, bytes]:
    broken = {
        "a header without a colon": b"nonsense\r\n",
        "a header without a name": b": x\r\n",
        "a space before the colon": b"x : y\r\n",
        "a folded header": b"x: y\r\n z\r\n",
        "a NUL in a header": b"x: a\0b\r\n",
        "a carriage return in a header": b"x: a\rb: c\r\n",
        "a header of 20,000 bytes": b"x: " + b"y" * 20_000 + b"\r\n",
        "a header of a megabyte": b"x: " + b"y" * 1_000_000 + b"\r\n",
        "a thousand headers": b"".join(b"x%d: y\r\n" % i for i in range(1000)),
        "a thousand equal headers": b"x: y\r\n" * 1000,
        "an expectation that nobody knows": b"expect: miracles\r\n",
        "an upgrade": b"connection: upgrade\r\nupgrade: h2c\r\n",
    }
    return {name: head + lines + length + b"\r\n" + body for name, lines in broken.items()}


def _lengths(head: bytes, length: bytes, body: bytes) -> dict[str, bytes]:
    alone = {
        "that is no number": b"abc",
        "that is negative": b"-1",
        "with a sign": b"+5",
        "in hexadecimal": b"0x20",
        "and a word": b"5 5",
        "of 2^64": b"18446744073709551616",
        "of a terabyte": b"1099511627776",
        "that is a list": b"5, 6",
    }
    found = {f"a length {name}": head + b"content-length: %b\r\n\r\n" % value + body for name, value in alone.items()}
    hidden = b"GET /metrics HTTP/1.1\r\nhost: x\r\n"
    return {
        **found,
        "two lengths": head + length + b"content-length: 5\r\n\r\n" + body,
        "a hidden second request": head + length + b"\r\n" + body + hidden,
    }


def _chunks(head: bytes, length: bytes, body: bytes) -> dict[str, bytes]:
    chunked, size = b"transfer-encoding: chunked\r\n", b"%x" % len(body)
    chunks = size + b"\r\n" + body + b"\r\n0\r\n"
    hidden = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
    whole = {
        "a chunk for each byte": b"".join(b"1\r\n" + body[i : i + 1] + b"\r\n" for i in range(len(body)))
        + b"0\r\n\r\n",
        "chunk extensions": size + b";a=b;c\r\n" + body + b"\r\n0\r\n\r\n",
        "a trailer": chunks + b"x-trailer: 1\r\n\r\n",
        "a length behind them": chunks + b"content-length: 5\r\n\r\n",
        "ten thousand headers behind them": chunks + b"x: y\r\n" * 10_000 + b"\r\n",
        "a megabyte behind them": chunks + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
        "a size that is no number": b"zz\r\n" + body + b"\r\n0\r\n\r\n",
        "a negative size": b"-5\r\n" + body + b"\r\n0\r\n\r\n",
        "a size of 2^64": b"ffffffffffffffff1\r\n" + body + b"\r\n0\r\n\r\n",
        "a size in hexadecimal notation": b"0x5\r\nhello\r\n0\r\n\r\n",
        "a chunk longer than it says": b"5\r\n" + body + b"\r\n0\r\n\r\n",
        "an extension without an end": size + b";" + b"x" * 100_000 + b"\r\n",
        "line feeds alone": b"5\nhello\n0\n\n" + hidden,
        "NULs": b"\0" * 1000,
        "nothing but an end": b"0\r\n\r\n",
    }
    lines = {
        "of an unknown kind": b"transfer-encoding: chonked\r\n",
        "in quotes": b'transfer-encoding: "chunked"\r\n',
        "in a folded header": b"transfer-encoding:\r\n chunked\r\n",
        "behind a vertical tab": b"transfer-encoding: \x0bchunked\r\n",
    }
    return {
        **{f"chunks: {name}": head + chunked + b"\r\n" + rest for name, rest in whole.items()},
        **{f"chunks {name}": head + line + length + b"\r\n" + body + hidden for name, line in lines.items()},
        "a length and chunks": head + length + chunked + b"\r\n" + chunks + b"\r\n" + hidden,
        "a length and no chunks": head + length + chunked + b"\r\n0\r\n\r\n",
        "chunks, and a length that ends sooner": head
        + chunked
        + b"content-length: 4\r\n\r\n"
        + chunks
        + b"\r\n"
        + hidden,
        "chunks twice": head + chunked * 2 + b"\r\n0\r\n\r\n",
        "chunks before gzip": head + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "chunks behind identity": head
        + b"transfer-encoding: identity\r\n"
        + chunked
        + b"\r\n"
        + chunks
        + b"\r\n"
        + hidden,
    }
