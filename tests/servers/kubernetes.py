"""An API server that behaves as Kubernetes' does where commands and KubeRay rely on it.

Objects with resourceVersion, generation and a status subresource; merge and JSON patches with optimistic concurrency;
watches; Status objects for 401, 403, 404, 409, 410, 415, 422 and 429; faults on demand, before or after a write counts.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.servers.local_server import listening

KINDS = {
    "rayservices": ("ray.io/v1", "RayService"),
    "rayclusters": ("ray.io/v1", "RayCluster"),
    "configmaps": ("v1", "ConfigMap"),
    "events": ("v1", "Event"),
}
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
MOST_BYTES = 1 << 20  # of a ConfigMap
TOKEN, ADMIN_TOKEN = "operator-token", "kuberay-token"  # who may what `rules` say, and everything
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update"}
Object = dict[str, Any]


class RefusedError(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.retry_after = code, message, retry_after


class CutError(Exception):
    """The connection ends without an answer."""


@dataclass
class Fault:
    """What happens to the next request of a kind."""

    method: str
    plural: str
    code: int | None = None  # None: the connection is cut
    retry_after: int | None = None
    applied: bool = False  # whether the write counts before the answer is lost


@dataclass
class ApiServer:
    """The objects of a cluster, and what was asked of them."""

    url: str = ""
    up: bool = True  # else connections end without an answer
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)  # plural, namespace, name
    events: list[tuple[int, str, tuple[str, str], Object]] = field(default_factory=list)
    oldest: int = 0  # watches from before this version are refused with 410
    version: int = 100
    denied: set[tuple[str, str]] = field(default_factory=set)  # method, plural
    rules: list[Object] | None = None  # of a Role, which all requests but an administrator's must be allowed by
    faults: list[Fault] = field(default_factory=list)
    before_patch: Callable[[Object], None] | None = None  # called once, between a client's read and its patch
    requests: list[tuple[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def put(self, plural: str, resource: Object, namespace: str = "embedserve") -> Object:
        """Make or replace an object as an administrator would."""
        with self.changed:
            key = (plural, namespace, resource["metadata"]["name"])
            return self._store(key, copy.deepcopy(resource), self.objects.get(key))

    def get(self, plural: str, name: str, namespace: str = "embedserve") -> Object:
        """An object as it is."""
        with self.changed:
            if (plural, namespace, name) not in self.objects:
                raise RefusedError(404, f'{plural} "{name}" not found')
            return copy.deepcopy(self.objects[plural, namespace, name])

    def all(self, plural: str) -> list[Object]:
        """Every object of a kind."""
        with self.changed:
            return [copy.deepcopy(found) for (kind, _, _), found in self.objects.items() if kind == plural]

    def update(self, plural: str, name: str, change: Callable[[Object], None]) -> None:
        """Change an object as somebody else would."""
        with self.changed:
            resource = self.get(plural, name)
            change(resource)
            self._store((plural, "embedserve", name), resource, self.objects[plural, "embedserve", name])

    def kubeconfig(self, folder: Path, token: str = TOKEN, namespace: str = "embedserve") -> Path:
        """A file with credentials for this server."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def _store(self, key: tuple[str, str, str], resource: Object, old: Object | None) -> Object:
        api, kind = KINDS[key[0]]
        metadata = resource.setdefault("metadata", {})
        resource.update(apiVersion=api, kind=kind)
        before = (old or {}).get("metadata", {})
        metadata["namespace"] = key[1]
        metadata["uid"] = before.get("uid") or str(uuid.uuid4())
        grown = old is not None and old.get("spec") != resource.get("spec")
        metadata["generation"] = before.get("generation", 1) + grown
        metadata["resourceVersion"] = before.get("resourceVersion")
        if old is not None and old == resource:
            return copy.deepcopy(resource)  # nothing changed: the version stays
        if kind == "ConfigMap" and len(json.dumps(resource.get("data", {}))) > MOST_BYTES:
            raise RefusedError(
                422, f'ConfigMap "{key[2]}" is invalid: []: Too long: may not be more than 1048576 bytes'
            )
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self.objects[key] = resource
        self.events.append((self.version, "MODIFIED" if old else "ADDED", key[:2], copy.deepcopy(resource)))
        self.changed.notify_all()
        return copy.deepcopy(resource)

    def answer(self, method: str, plural: str, namespace: str, name: str, sub: str, kind: str, body: Any) -> Object:
        """What a request gets."""
        with self.changed:
            self.requests.append((method, plural))
            if (method, plural) in self.denied:
                raise _forbidden(VERBS[method], plural, name)
            fault = next((f for f in self.faults if (f.method, f.plural) == (method, plural)), None)
            if fault:
                self.faults.remove(fault)
                if not fault.applied:
                    self._fail(fault)
            done = self._done(method, plural, namespace, name, sub, kind, body)
            if fault:
                self._fail(fault)
            return done

    def require_allowed(self, verb: str, plural: str, name: str) -> None:
        """Refuse what no rule allows."""
        group = KINDS[plural][0].rpartition("/")[0]
        for rule in self.rules if self.rules is not None else [{}]:
            named = rule.get("resourceNames")
            if (
                group in rule.get("apiGroups", [group])
                and plural in rule.get("resources", [plural])
                and verb in rule.get("verbs", [verb])
                and (not named or name in named)
            ):
                return
        raise _forbidden(verb, plural, name)

    def _fail(self, fault: Fault) -> None:
        if fault.code is None:
            raise CutError
        raise RefusedError(fault.code, "a fault of the test", fault.retry_after)

    def _done(self, method: str, plural: str, namespace: str, name: str, sub: str, kind: str, body: Any) -> Object:
        if method == "GET" and not name:
            items = [found for (p, n, _), found in self.objects.items() if (p, n) == (plural, namespace)]
            api, single = KINDS[plural]
            version = {"resourceVersion": str(self.version)}
            return {"apiVersion": api, "kind": f"{single}List", "metadata": version, "items": copy.deepcopy(items)}
        if method == "POST":
            key = (plural, namespace, body["metadata"]["name"])
            if key in self.objects:
                raise RefusedError(409, f'{plural} "{key[2]}" already exists')
            return self._store(key, body, None)
        key = (plural, namespace, name)
        old = self.get(plural, name, namespace)
        if method == "GET":
            return old
        if method == "PATCH":
            hook, self.before_patch = self.before_patch, None
            if hook:
                hook(body if isinstance(body, dict) else {})
                old = self.get(plural, name, namespace)
            new = patched(old, kind, body)
        else:
            new = body
        if new["metadata"].get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            raise RefusedError(
                409,
                f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified; please apply your '
                "changes to the latest version and try again",
            )
        if plural in ("rayservices", "rayclusters"):  # the status is a subresource: each route changes its half only
            if sub == "status":
                new = {**old, "status": new.get("status", {})}
            else:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        return self._store(key, new, old)


def patched(old: Object, kind: str, body: Any) -> Object:
    """An object after a patch."""
    if kind == "application/merge-patch+json":
        merged: Object = _merged(old, body)
        return merged
    if kind == "application/json-patch+json":
        new = copy.deepcopy(old)
        for operation in body:
            _operate(new, operation)
        return new
    raise RefusedError(415, f"the body of the request was in an unknown format: {kind}")


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key), value)
    return new


def _operate(document: Any, operation: Object) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    try:
        for part in way:
            document = document[int(part) if isinstance(document, list) else part]
        at = int(last) if isinstance(document, list) else last
        if operation["op"] == "test" and document[at] != operation["value"]:
            raise RefusedError(422, f"the server rejected our request: test of {operation['path']} failed")
        if operation["op"] == "remove":
            del document[at]
        elif operation["op"] == "replace":
            document[at]
            document[at] = operation["value"]
        elif operation["op"] == "add":
            document[at] = operation["value"]
    except (KeyError, IndexError, ValueError):
        raise RefusedError(422, f"the server rejected our request: nothing at {operation['path']}") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    api: ApiServer

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        way = parts.path.strip("/").split("/")
        way = way[2:] if way[0] == "api" else way[3:]  # /api/v1 or /apis/GROUP/VERSION
        namespace, plural, name, sub = [*way[1:], "", "", ""][:4]
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "null")
        try:
            if not self.api.up:
                raise CutError
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in (TOKEN, ADMIN_TOKEN):
                raise RefusedError(401, "Unauthorized")
            verb = "watch" if "watch" in query else VERBS[self.command]
            if token != ADMIN_TOKEN:
                self.api.require_allowed("list" if (verb, name) == ("get", "") else verb, plural, name)
            if "watch" in query:
                self._watch(plural, namespace, int(query.get("resourceVersion", ["0"])[0]))
                return
            kind = self.headers.get("content-type", "").split(";")[0]
            answer = self.api.answer(self.command, plural, namespace, name, sub, kind, body)
            self._send(201 if self.command == "POST" else 200, answer)
        except RefusedError as refusal:
            self._send(refusal.code, _status(refusal), refusal.retry_after)
        except CutError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - their names in http.server

    def _send(self, code: int, document: Object, retry_after: int | None = None) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, plural: str, namespace: str, version: int) -> None:
        if version < self.api.oldest:
            raise RefusedError(410, f"too old resource version: {version} ({self.api.oldest})")
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.close_connection = True
        with self.api.changed, contextlib.suppress(OSError):
            while True:
                for at, what, key, resource in list(self.api.events):
                    if at > version and key == (plural, namespace):
                        version = at
                        self.wfile.write(json.dumps({"type": what, "object": resource}).encode() + b"\n")
                        self.wfile.flush()
                self.api.changed.wait(0.2)


def _forbidden(verb: str, plural: str, name: str) -> RefusedError:
    return RefusedError(403, f'{plural} "{name}" is forbidden: User "operator" cannot {verb} resource "{plural}"')


def _status(refusal: RefusedError) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refusal.message,
        "reason": REASONS[refusal.code],
        "code": refusal.code,
    }


@contextlib.contextmanager
def serving(api: ApiServer) -> Iterator[None]:
    """An API server's process, on a free port of this machine; the next one has the same port, as after a restart."""
    port = urlsplit(api.url).port or 0
    with listening(type("Handler", (_Handler,), {"api": api}), port) as api.url:
        yield
