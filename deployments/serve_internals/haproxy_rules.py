"""What HAProxy's configuration must say beyond the lines that Ray offers a place for: rules, and where HAProxy listens.

``haproxy_process`` puts the rules into the configuration that Ray wrote before HAProxy reads it. With them
- a request takes one of a gateway's places (``maxconn`` of ``haproxy_lines``) from when it has arrived whole until its answer
  begins. Whoever sends or reads slowly costs a connection and holds no place;
- no client may take more than its share of connections and places while there are few left;
- what HAProxy answers by itself is JSON (``haproxy_answers``), heads that are too large among it, as 431;
- the statistics listen on loopback and the metrics where the service listens, and the admin socket is its owner's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployments.observability import request_id
from deployments.serve_internals.haproxy_answers import error_body, own_answers
from deployments.serve_internals.haproxy_lines import RETRY
from models.errors import ConfigError

SHARE_VARIABLE: Final = "EMBEDSERVE_CLIENT_SHARE"  # empty: the rules are off
PROXIES_VARIABLE: Final = "EMBEDSERVE_TRUSTED_PROXIES"
VARIABLES: Final = {SHARE_VARIABLE: "0.25"}  # it takes four greedy clients to leave nothing to a fifth
CROWDED: Final = 0.75  # of the connections, or of the places: from then on clients are held to their shares
HEAD_BYTES: Final = 16384  # what HAProxy allows by itself, and cookies of other services on the same name fit into
LENGTH_DIGITS: Final = 18  # of a body's length: all numbers of as many fit into 64 bits
HEADERS: Final = 100  # as many as HAProxy allows by itself
WHOLE, ANSWERING, CLIENTS = "embedserve-whole", "embedserve-answering", "embedserve-clients"  # tables
# On an answer to a request whose rest nobody will read: HAProxy closes that connection, and says so only if told to. A client
# that does not know sends its next request into the closed connection.
LAST: Final = "x-last-of-connection"
# On an answer of a gateway that is crowded: how many requests it wants to have open, instead of all its places.
OPEN_PLACES: Final = "x-open-places"
# On a request to a gateway: others were refused just now, because all places were taken, or most and theirs were too many.
REFUSING: Final = "x-refusing"
HEARD_S: Final = (
    2  # for which either counts: a gateway that answers nothing any more cannot take it back. A clock may be set back
)
VALID_ID: Final = f"'{request_id.VALID.pattern.decode()}'"


@dataclass(frozen=True)
class Rules:
    """What an operator may choose."""

    share: float  # of connections and places that one client may hold while there are few left
    proxies: tuple[str, ...] = ()  # networks of load balancers: their clients are those that they forward for

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Rules | None:
        """The choices of an environment; None where the rules are off.

        Raises:
            ConfigError: a value is wrong; says which, and what is allowed.
        """
        value = environment.get(SHARE_VARIABLE, "")
        if not value:
            return None
        try:
            share = float(value)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise ConfigError(f"{SHARE_VARIABLE} must be a number above 0 and at most 1, not {value!r}")
        words = environment.get(PROXIES_VARIABLE, "").replace(",", " ").split()
        try:
            proxies = tuple(str(ipaddress.ip_network(word)) for word in words)
        except ValueError as error:
            raise ConfigError(
                f"{PROXIES_VARIABLE} must hold addresses or networks, such as 10.1.2.3 or 10.1.0.0/16: {error}"
            ) from None
        return cls(share, proxies)


def defaults_lines() -> list[str]:
    """What every frontend and backend inherits."""
    return [
        "    option http-buffer-request",  # a gateway is chosen when the body is there, or fills the buffer
        *own_answers(),
    ]


def frontend_lines(rules: Rules, connections: int, *, named: bool) -> list[str]:
    """How clients are told apart, who may connect, and which heads are too large."""
    share, crowded = max(1, int(connections * rules.share)), int(connections * CROWDED)
    trusted = f"{{ src {' '.join(rules.proxies)} }}" if rules.proxies else "FALSE"
    large = f"the request has more than {HEADERS} headers, or more than {HEAD_BYTES} bytes of them; send less"
    refused = error_body(large, "headers_too_large", "invalid_request_error")
    too_large = f"{{ req.hdrs,length gt {HEAD_BYTES} }} || {{ req.hdr_cnt gt {HEADERS} }}"
    lines = [] if named else ["unique-id-format %[uuid]"]
    lines += [
        f"tcp-request connection track-sc0 src,ipmask(32,64) table {CLIENTS} unless {trusted}",
        f"tcp-request connection reject if {{ fe_conn gt {crowded} }} {{ sc0_conn_cur gt {share} }}",
        # HAProxy reads 2^64 as 0, and the body as the next request.
        f"http-request reject if {{ req.hdr(content-length),length gt {LENGTH_DIGITS} }}",
        f"http-request return status 431 content-type application/json hdr x-request-id %[unique-id] string {refused} "
        f"if {too_large}",
    ]
    if rules.proxies:
        lines += [
            f"http-request track-sc0 hdr_ip(x-forwarded-for,-1),ipmask(32,64) table {CLIENTS} if {trusted}",
            *_refusals(f"{{ fe_conn gt {crowded} }} {{ sc0_conn_cur gt {share} }}", CROWD),
        ]
    return [f"    {line}" for line in lines]


def grpc_lines(*, frontend: bool) -> list[str]:
    """Of a section that takes gRPC: streams, which both sides go on writing to, would wait for their end in vain."""
    lines = ["no option http-buffer-request"]
    if (
        frontend
    ):  # what `defaults_lines` says of HTTP: a gateway is chosen when the message is there, or fills the buffer
        lines.append("http-request wait-for-body time 10s if { path -m end /ModelInfer }")
    return [f"    {line}" for line in lines]


CROWD: Final = "the service is crowded, and this client has more than its share of it already; try again later"
FULL: Final = "the service is at capacity; try again later"


def backend_lines(places: int, rules: Rules) -> list[str]:
    """Who gets one of ``places`` of each gateway. HAProxy's own ``maxconn`` would count until the last byte is read.

    The tables count the requests that have arrived whole, and those of them whose answer has begun: the difference are the
    places that are taken.
    """
    share = max(1, int(places * rules.share))
    lines = [
        "http-request set-var(txn.length) req.body_size",
        f"http-request track-sc1 be_id table {WHOLE} if {{ req.body_len,sub(txn.length) ge 0 }} "
        "!{ req.hdr(transfer-encoding) -m found }",
        f"http-response track-sc2 be_id table {ANSWERING}",
        f"http-response set-header connection close if {{ res.hdr({LAST}) -m found }}",
        f"http-response del-header {LAST}",
        f"http-response set-var(proc.told) date if {{ res.hdr({OPEN_PLACES}) -m found }}",
        f"http-response set-var(proc.places) res.hdr({OPEN_PLACES}),add(0) if {{ res.hdr({OPEN_PLACES}) -m found }}",
        f"http-response del-header {OPEN_PLACES}",
    ]
    busy = f"{{ sc1_conn_cur gt {int(places * CROWDED)} }}"  # cheap, and false for nearly every request
    full = f"{busy} {{ sc1_conn_cur,sub(txn.full) gt 0 }}"
    greedy = f"{busy} {{ sc1_conn_cur,sub(txn.crowded) gt 0 }} {{ sc0_conn_cur,sub(txn.share) gt 0 }}"
    lines += [
        f"http-request set-var(txn.answering) be_id,table_conn_cur({ANSWERING}) if {busy}",
        f"http-request set-var(txn.full) nbsrv,mul({places}),add(txn.answering) if {busy}",
        f"http-request set-var(txn.crowded) nbsrv,mul({int(places * CROWDED)}),add(txn.answering) if {busy}",
        f"http-request set-var(txn.share) nbsrv,mul({share}) if {busy}",
        f"http-request set-var(proc.refused) date if {full} || {greedy}",
        *_refusals(full, FULL),
        *_refusals(greedy, CROWD),
    ]
    return [f"    {line}" for line in (*lines, *_crowded_lines(rules))]


def _crowded_lines(rules: Rules) -> list[str]:
    """The same for the number that a crowded gateway told, as long as it was told of late; and what a gateway is told."""
    crowded = f"{{ var(proc.places) -m found }} {{ date,sub(proc.told) 0:{HEARD_S - 1} }}"
    open_, share = "nbsrv,mul(proc.places)", max(1, int(100 * rules.share))
    return [
        f"http-request set-var(txn.answering) be_id,table_conn_cur({ANSWERING}) if {crowded}",
        f"http-request set-var(txn.full) {open_},add(txn.answering) if {crowded}",
        f"http-request set-var(txn.crowded) {open_},mul({int(100 * CROWDED)}),div(100),add(txn.answering) if {crowded}",
        f"http-request set-var(txn.share) {open_},mul({share}),div(100) if {crowded}",
        *_refusals(f"{crowded} {{ sc1_conn_cur,sub(txn.full) gt 0 }}", FULL),
        *_refusals(f"{crowded} {{ sc1_conn_cur,sub(txn.crowded) gt 0 }} {{ sc0_conn_cur,sub(txn.share) gt 0 }}", CROWD),
        f"http-request del-header {REFUSING}",
        f"http-request set-header {REFUSING} 1 if {{ var(proc.refused) -m found }} {{ date,sub(proc.refused) 0:{HEARD_S - 1} }}",
    ]


def _refusals(condition: str, message: str) -> list[str]:
    """Rules that refuse a request under the name that its client gave it, where it gave it one."""
    answer = f"http-request deny status 503 content-type application/json {RETRY} hdr x-request-id"
    body = error_body(message, "unavailable")
    return [
        f"{answer} %[req.hdr(x-request-id)] string {body} if {condition} {{ req.hdr(x-request-id) -m reg {VALID_ID} }}",
        f"{answer} %[unique-id] string {body} if {condition}",
    ]
