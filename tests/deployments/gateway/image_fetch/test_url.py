from __future__ import annotations

import pytest

from deployments.config.fetch import Fetch
from deployments.gateway.image_fetch.url import parse
from models.errors import InputError

ANY = Fetch(hosts=("*",), ports=(443, 80, 8443), http=True)

PLAIN = [
    ("https://a.example", "https://a.example/", "a.example"),
    ("HTTPS://A.Example./B?c=%20d#e", "https://a.example/B?c=%20d", "a.example"),
    ("https://a.example:443/x", "https://a.example/x", "a.example"),
    ("https://a.example:8443/x", "https://a.example:8443/x", "a.example:8443"),
    ("http://a.example:80/x", "http://a.example/x", "a.example"),
    ("https://xn--fa-hia.example/x", "https://xn--fa-hia.example/x", "xn--fa-hia.example"),
    ("https://8.8.8.8/x", "https://8.8.8.8/x", "8.8.8.8"),
    ("https://[2606:4700:0:0:0:0:0:1111]/x", "https://[2606:4700::1111]/x", "[2606:4700::1111]"),
    ("https://a.example?q", "https://a.example/?q", "a.example"),
]


@pytest.mark.parametrize(("given", "wanted", "authority"), PLAIN)
def test_a_url_has_one_plain_form(given: str, wanted: str, authority: str) -> None:
    target = parse(given, ANY, "input")
    assert (target.url, target.authority) == (wanted, authority)


REFUSED = [
    ("a user", "https://user@a.example/", "user name"),
    ("a user and a password", "https://user:secret@a.example/", "user name"),
    ("an empty user", "https://@a.example/", "user name"),
    ("an at sign in the authority, encoded", "https://a%40b.example/", "no valid host"),
    ("a number for a host", "https://2130706433/", "no valid host"),
    ("a hexadecimal host", "https://0x7f000001/", "no valid host"),
    ("a short address", "https://127.1/", "no valid host"),
    ("an octal address", "https://0177.0.0.1/", "no valid host"),
    ("a name that ends in a number", "https://a.example.0x1/", "no valid host"),
    ("a zone", "https://[fe80::1%25lo]/", "no valid host"),
    ("an underscore", "https://a_b.example/", "no valid host"),
    ("a space", "https://a.example/ b", "percent-encoded"),
    ("a line end", "https://a.example/\r\nx: y", "percent-encoded"),
    ("a backslash", "https://a.example\\b", "percent-encoded"),
    ("letters beyond ASCII", "https://bücher.example/", "percent-encoded"),
    ("a novel", "https://a.example/" + "x" * 5000, "too long"),
    ("another scheme", "ftp://a.example/", "not http or https"),
    ("no scheme", "a.example/x", "no valid host"),
    ("port 0", "https://a.example:0/", "fetch.ports"),
]


@pytest.mark.parametrize(("url", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_url_is_refused_for(url: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace(".", r"\.")) as caught:
        parse(url, ANY, "input[3]")
    assert caught.value.param == "input[3]"
    assert caught.value.code == "url_not_allowed"
    assert "secret" not in str(caught.value)
