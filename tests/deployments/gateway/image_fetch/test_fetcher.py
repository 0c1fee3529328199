"""Fetching from real servers over real TLS, and a trap on every address of this machine that nobody may step on."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import trustme

from deployments.config.fetch import Fetch
from deployments.config.limits import Limits
from deployments.gateway.image_fetch.fetcher import Fetcher
from models.errors import InputError, LimitError
from tests.deployments.gateway.image_fetch.inside import CORPUS, INSIDE
from tests.servers.picture_host import PictureHost, Trap, answer, redirect

PICTURE = b"\x89PNG\r\n\x1a\n and so on"
HOST = "pictures.example"


class Names:
    """A resolver: names and their addresses, one list after the other where there are several; and who was asked for."""

    def __init__(self, **names: Any) -> None:
        self.names = {name.replace("_", "."): value for name, value in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        known = self.names.get(host)
        if known is None:
            raise OSError("no such name")
        if isinstance(known[0], str):
            return known
        return known.pop(0) if len(known) > 1 else known[0]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    running = Trap()
    yield running
    running.close()


@pytest.fixture
def host(authority: trustme.CA) -> Iterator[PictureHost]:
    running = PictureHost(authority, HOST, "127.0.0.2")
    running.behaviours["/a.png"] = answer(PICTURE)
    yield running
    running.close()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def fetch(
    urls: list[str] | str,
    config: Fetch,
    names: Names,
    context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> Any:
    items = [urls] if isinstance(urls, str) else urls
    got = await Fetcher(names, context).replace(items, "input", config, limits or Limits())
    return got[0] if isinstance(urls, str) else got


def allowing(host: PictureHost, *hosts: str, **more: Any) -> Fetch:
    return Fetch(hosts=hosts or (HOST,), ports=(host.port,), addresses=("127.0.0.2/32",), **more)


async def test_a_picture_is_fetched_from_a_host_that_is_allowed(host: PictureHost, authority: trustme.CA) -> None:
    names = Names(pictures_example=["127.0.0.2"])
    url = f"https://{HOST}:{host.port}/a.png?size=1"
    assert await fetch(url, allowing(host), names, trusting(authority)) == PICTURE
    (path, headers), *more = host.seen
    assert path == "/a.png?size=1"
    assert headers["host"] == f"{HOST}:{host.port}"
    assert host.named == [HOST]
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert more == []
    assert names.asked == [HOST]


async def test_urls_are_replaced_where_they_stand_and_equal_ones_fetched_once(
    host: PictureHost, authority: trustme.CA
) -> None:
    url = f"https://{HOST}:{host.port}/a.png"
    items = ["data:image/png;base64,AAAA", url, "AAAA", url]
    got = await fetch(items, allowing(host), Names(pictures_example=["127.0.0.2"]), trusting(authority))
    assert got == [items[0], PICTURE, items[2], PICTURE]
    assert len(host.seen) == 1


async def test_the_second_address_is_tried_when_the_first_does_not_answer(
    host: PictureHost, authority: trustme.CA
) -> None:
    config = Fetch(hosts=(HOST,), ports=(host.port,), addresses=("127.0.0.0/8",))
    names = Names(pictures_example=["127.0.0.9", "127.0.0.2"])
    assert await fetch(f"https://{HOST}:{host.port}/a.png", config, names, trusting(authority)) == PICTURE


async def test_without_tls_only_where_allowed() -> None:
    plain = PictureHost(None)
    plain.behaviours["/a.png"] = answer(PICTURE)
    try:
        url, names = f"http://{HOST}:{plain.port}/a.png", Names(pictures_example=["127.0.0.2"])
        with pytest.raises(InputError, match=r"fetch\.http"):
            await fetch(url, allowing(plain), names)
        assert plain.seen == []
        assert await fetch(url, allowing(plain, http=True), names) == PICTURE
    finally:
        plain.close()


async def test_a_certificate_for_another_name_or_of_another_authority_is_refused(
    host: PictureHost, authority: trustme.CA
) -> None:
    names = Names(pictures_example=["127.0.0.2"], other_example=["127.0.0.2"])
    with pytest.raises(InputError, match="could not be fetched"):
        await fetch(f"https://other.example:{host.port}/a.png", allowing(host, "*"), names, trusting(authority))
    with pytest.raises(InputError, match="could not be fetched"):
        await fetch(f"https://{HOST}:{host.port}/a.png", allowing(host), names, ssl.create_default_context())
    assert host.seen == []


# --- what must never be reached ------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", CORPUS, ids=lambda template: template[:80])
async def test_nothing_inside_is_ever_connected_to(template: str, trap: Trap) -> None:
    """With every host and http allowed, and the trap's own port: the addresses alone must do."""
    names = Names()
    names.names = dict(INSIDE)
    url = template.replace("{port}", str(trap.port))
    for config in (
        Fetch(hosts=("*",), ports=(trap.port, 80, 443), http=True, timeout_s=2),
        Fetch(hosts=("public.example", "*.example"), ports=(trap.port,), timeout_s=2),
    ):
        with pytest.raises(InputError) as caught:
            await fetch(url, config, names)
        assert caught.value.code == "url_not_allowed", str(caught.value)
        assert "127.0.0" not in str(caught.value)
    assert trap.connections() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "template", ["https://127.0.0.1:{port}/", "//loopback.example:{port}/", "https://2130706433:{port}/"]
)
async def test_redirects_do_not_lead_inside(
    host: PictureHost, authority: trustme.CA, trap: Trap, status: int, template: str
) -> None:
    host.behaviours["/r"] = redirect(template.replace("{port}", str(trap.port)), status)
    names = Names(pictures_example=["127.0.0.2"], loopback_example=["127.0.0.1"])
    config = Fetch(hosts=("*",), ports=(host.port, trap.port), addresses=("127.0.0.2/32",), http=True)
    with pytest.raises(InputError) as caught:
        await fetch(f"https://{HOST}:{host.port}/r", config, names, trusting(authority))
    assert caught.value.code == "url_not_allowed"
    assert len(host.seen) == 1
    assert trap.connections() == 0


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:{port}/_x", "https://[", "data:image/png;base64,AA"],
)
async def test_redirects_to_other_schemes_are_not_followed(
    host: PictureHost, authority: trustme.CA, trap: Trap, location: str
) -> None:
    host.behaviours["/r"] = redirect(location.replace("{port}", str(trap.port)))
    with pytest.raises(InputError):
        await fetch(
            f"https://{HOST}:{host.port}/r",
            allowing(host, "*"),
            Names(pictures_example=["127.0.0.2"]),
            trusting(authority),
        )
    assert trap.connections() == 0


async def test_redirects_within_what_is_allowed_are_followed_and_counted(
    host: PictureHost, authority: trustme.CA
) -> None:
    for i in range(3):
        host.behaviours[f"/{i}"] = redirect(f"/{i + 1}")
    host.behaviours["/3"] = redirect("a.png")
    names, context = Names(pictures_example=["127.0.0.2"]), trusting(authority)
    assert await fetch(f"https://{HOST}:{host.port}/1", allowing(host), names, context) == PICTURE
    with pytest.raises(InputError, match="redirects more than 3 times"):
        await fetch(f"https://{HOST}:{host.port}/0", allowing(host), names, context)
    host.behaviours["/loop"] = redirect("/loop")
    with pytest.raises(InputError, match="redirects more than 3 times"):
        await fetch(f"https://{HOST}:{host.port}/loop", allowing(host), names, context)


async def test_a_name_that_changes_its_address_between_two_requests_is_checked_again(
    host: PictureHost, authority: trustme.CA, trap: Trap
) -> None:
    """Rebinding: the name is public (here: allowed) when it is first asked for, and inside the next time."""
    host.behaviours["/r"] = redirect(f"https://{HOST}:{trap.port}/")
    names = Names(pictures_example=[["127.0.0.2"], ["127.0.0.1"]])
    config = Fetch(hosts=("*",), ports=(host.port, trap.port), addresses=("127.0.0.2/32",))
    with pytest.raises(InputError, match="no address that may be reached"):
        await fetch(f"https://{HOST}:{host.port}/r", config, names, trusting(authority))
    assert names.asked == [HOST, HOST]
    assert trap.connections() == 0


async def test_the_connection_goes_to_the_address_that_was_checked(authority: trustme.CA, trap: Trap) -> None:
    """Rebinding within one request: a second question would get the trap's address, and none is asked."""
    pictures = PictureHost(authority, HOST)
    pictures.behaviours["/a.png"] = answer(PICTURE)
    try:
        names = Names(pictures_example=[["127.0.0.2"], ["127.0.0.1"]])
        assert (
            await fetch(f"https://{HOST}:{pictures.port}/a.png", allowing(pictures), names, trusting(authority))
            == PICTURE
        )
        assert names.asked == [HOST]
    finally:
        pictures.close()
    assert trap.connections() == 0


async def test_proxies_of_the_environment_are_not_used(
    host: PictureHost, authority: trustme.CA, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
    names = Names(pictures_example=["127.0.0.2"])
    assert await fetch(f"https://{HOST}:{host.port}/a.png", allowing(host), names, trusting(authority)) == PICTURE
    assert trap.connections() == 0


LISTED = [
    ("exact", ("a.example",), "a.example", True),
    ("another", ("a.example",), "b.example", False),
    ("a suffix that is no part", ("a.example",), "xa.example", False),
    ("below one that is exact", ("a.example",), "b.a.example", False),
    ("below a star", ("*.a.example",), "b.a.example", True),
    ("two below a star", ("*.a.example",), "c.b.a.example", True),
    ("the star's own name", ("*.a.example",), "a.example", False),
    ("a name that ends alike", ("*.a.example",), "xa.example", False),
    ("upper case and a final dot", ("a.example",), "A.Example.", True),
]


@pytest.mark.parametrize(("hosts", "name", "allowed"), [row[1:] for row in LISTED], ids=[row[0] for row in LISTED])
async def test_only_listed_hosts_are_asked_for(hosts: tuple[str, ...], name: str, allowed: bool) -> None:
    names = Names()
    with pytest.raises(InputError) as caught:
        await fetch(f"https://{name}/", Fetch(hosts=hosts), names)
    assert ("fetch.hosts" in str(caught.value)) == (not allowed)
    assert bool(names.asked) == allowed


@pytest.mark.parametrize("port", [22, 25, 6379, 8265, 8404])
async def test_ports_of_machinery_are_not_connected_to(port: int) -> None:
    names = Names(a_example=["93.184.215.14"])
    with pytest.raises(InputError, match=r"fetch\.ports"):
        await fetch(f"https://a.example:{port}/", Fetch(hosts=("*",)), names)
    assert names.asked == []


# --- what an allowed host may send ---------------------------------------------------------------------------------


def stalled(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "image/png")
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x")
    handler.wfile.flush()
    threading.Event().wait(3)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "image/png")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


ANSWERS = [
    ("a page", answer(b"<html>", content_type="text/html"), "content type 'text/html'"),
    ("no type", answer(PICTURE, content_type=""), "content type ''"),
    ("an error", answer(b"", 404), "status 404"),
    ("nothing", answer(b"", 204, content_length=""), "status 204"),
    ("a part", answer(PICTURE, 206), "status 206"),
    ("a redirect to nowhere", answer(b"", 302), "redirects more than"),
    ("a compressed body", answer(PICTURE, content_encoding="gzip"), "compressed"),
    ("half a body and silence", stalled, "within 0.5 s"),
]


@pytest.mark.parametrize(("behaviour", "says"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_an_answer_that_is_no_picture(
    host: PictureHost, authority: trustme.CA, behaviour: Any, says: str
) -> None:
    host.behaviours["/x"] = behaviour
    with pytest.raises(InputError, match=says) as caught:
        await fetch(
            f"https://{HOST}:{host.port}/x",
            allowing(host, timeout_s=0.5),
            Names(pictures_example=["127.0.0.2"]),
            trusting(authority),
        )
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "behaviour",
    [endless, answer(b"x" * 5000), answer(b"", content_length="5000")],
    ids=["endless", "too long", "announced"],
)
async def test_a_picture_over_the_limit_is_not_read_to_its_end(
    host: PictureHost, authority: trustme.CA, behaviour: Any
) -> None:
    host.behaviours["/x"] = behaviour
    with pytest.raises(LimitError, match="more than 2000 bytes"):
        await fetch(
            f"https://{HOST}:{host.port}/x",
            allowing(host),
            Names(pictures_example=["127.0.0.2"]),
            trusting(authority),
            Limits(image_bytes=2000),
        )


async def test_the_pictures_of_a_request_have_a_limit_together(host: PictureHost, authority: trustme.CA) -> None:
    host.behaviours["/x"] = answer(b"x" * 1500)
    urls = [f"https://{HOST}:{host.port}/x?{i}" for i in range(3)]
    names, limits = Names(pictures_example=["127.0.0.2"]), Limits(image_bytes=2000, body_bytes=3500)
    assert len(await fetch(urls[:2], allowing(host), names, trusting(authority), limits)) == 2
    with pytest.raises(LimitError, match="3500 bytes together"):
        await fetch(urls, allowing(host), names, trusting(authority), limits)


async def test_a_request_names_few_urls(host: PictureHost) -> None:
    names = Names(pictures_example=["127.0.0.2"])
    with pytest.raises(LimitError, match="33 URLs, the limit is 32"):
        await fetch([f"https://{HOST}:{host.port}/{i}" for i in range(33)], allowing(host), names)
    assert host.seen == []


async def test_the_bad_one_of_a_list_is_named(host: PictureHost, authority: trustme.CA) -> None:
    urls = [f"https://{HOST}:{host.port}/a.png", "https://other.example/"]
    with pytest.raises(InputError, match=r"input\[1\]") as caught:
        await fetch(urls, allowing(host), Names(pictures_example=["127.0.0.2"]), trusting(authority))
    assert caught.value.param == "input[1]"


async def test_no_more_are_fetched_at_once_than_allowed(host: PictureHost, authority: trustme.CA) -> None:
    now, most, lock = 0, 0, threading.Lock()
    full = threading.Event()

    def behave(handler: BaseHTTPRequestHandler) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == 2:
                full.set()
        full.wait(5)
        with lock:
            now -= 1
        answer(PICTURE)(handler)

    host.behaviours["/x"] = behave
    urls = [f"https://{HOST}:{host.port}/x?{i}" for i in range(6)]
    got = await fetch(
        urls, allowing(host, at_once=2, timeout_s=20), Names(pictures_example=["127.0.0.2"]), trusting(authority)
    )
    assert got == [PICTURE] * 6
    assert most == 2
