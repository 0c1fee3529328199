"""Waits until a service is what it was asked to be, and notices when it will not get there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.cluster.last_line import last_line
from deployments.cluster.serve_api import ClusterError
from deployments.config.names import DECODER_NAME, application_name
from deployments.config.routes import shares
from deployments.contract.reason import ReasonCode
from deployments.operator.document import Document, gateway, gateway_name, split
from deployments.operator.lock import SETTLE_S, Claim, require_ours
from deployments.operator.served import Entry
from deployments.operator.target import Target
from models.errors import EmbedserveError, UnavailableError

ASLEEP = "asleep"  # the state of a version that may sleep, as `/v1/models` says it
POLL_S = 0.2
REFRESH_S = 2.0  # a gateway replica asks encoders what they serve at least this often, on a busy machine too
STALE_S = 3 * REFRESH_S  # a reason that is still given after this long is not left over from an earlier swap
ASKS = 3  # answers in a row that must agree, for each gateway replica: which one answers is up to the proxy


class NotHealthyError(EmbedserveError):
    """The service does not get healthy after a change; the message says what is wrong."""


@dataclass(frozen=True)
class Expected:
    """What the service must say of itself."""

    document: Document
    claim: Claim
    hashes: Mapping[str, str | None] = field(default_factory=dict)  # of versions that change; None: not known here
    reasons: Mapping[str, str | None] = field(default_factory=dict)  # that versions gave before the change


def wait(service: Target, expected: Expected, timeout_s: float, tell: Callable[[str], None]) -> None:
    """Wait until every application runs and the gateway's replicas agree with the document.

    Raises:
        NotHealthyError: an application failed, a swap was refused, or time ran out.
        ConflictError: another operator's document has replaced ours.
    """
    began = time.monotonic()
    settled_at: float | None = None  # when Serve said that all is deployed
    agreed_at: float | None = None
    agreed = 0
    missing = "nothing was asked yet"
    while time.monotonic() - began < timeout_s:
        try:
            details, document = service.look()
            require_ours(document, expected.claim)
            missing = unsettled(details, expected.document)
            settled_at = (settled_at or time.monotonic()) if not missing else None
            if settled_at is not None:
                entries = service.versions(expected.document)
                age = time.monotonic() - settled_at
                require_accepted(entries, expected, age)
                missing = disagreement(entries, expected, age)
        except (UnavailableError, ClusterError) as error:  # a controller or gateway that restarts
            missing = str(error)
        agreed = 0 if missing else agreed + 1
        agreed_at = (agreed_at or time.monotonic()) if agreed else None
        if agreed_at is not None and agreed >= ASKS * replicas(details, gateway_name(expected.document)):
            now = time.monotonic()
            if now - began > SETTLE_S and now - agreed_at >= hold_s(details, expected):
                return
        tell(missing or "asking every replica")
        time.sleep(POLL_S)
    raise NotHealthyError(f"not healthy within {timeout_s:g} s: {missing or 'its replicas do not agree'}")


def unsettled(details: Mapping[str, Any], document: Document) -> str:
    """What Serve has not finished yet; empty when it has.

    Raises:
        NotHealthyError: an application failed.
    """
    if waiting := details.get("waiting"):  # of KubeRay, which reports on what it submitted before
        return str(waiting)
    reported = details.get("applications", {})
    wanted = [app["name"] for app in document["applications"]]
    for name in wanted:
        if reported.get(name, {}).get("status") == "DEPLOY_FAILED":
            raise NotHealthyError(f"{name} failed to deploy: {last_line(reported[name].get('message') or '')}")
    states = {name: reported.get(name, {}).get("status", "NOT_STARTED") for name in wanted}
    left = [f"{name} is {state.lower()}" for name, state in states.items() if state != "RUNNING"]
    ours = [name for name, app in reported.items() if app.get("source") == "declarative"]
    left += [f"{name} is being removed" for name in ours if name not in wanted]
    return ", ".join(left)


def require_accepted(entries: list[Entry], expected: Expected, age_s: float) -> None:
    """Notice that an encoder refused a swap: it goes on with the artifact that it has, and says why.

    Raises:
        NotHealthyError: with the encoder's reason.
    """
    for entry in entries:
        reason = entry.get("reason")
        if entry["id"] not in expected.hashes or entry.get("reason_code") != ReasonCode.SWAP_REFUSED:
            continue
        if reason != expected.reasons.get(entry["id"]) or age_s > STALE_S:
            raise NotHealthyError(f"{entry['id']} refused the swap and goes on with {entry['hash'][:12]}: {reason}")


def disagreement(entries: list[Entry], expected: Expected, age_s: float) -> str:
    """The first thing that a gateway replica says otherwise than it was asked to be; empty when there is none."""
    said = {entry["id"]: entry for entry in entries}
    wanted: dict[str, float] = {}
    for model, table in gateway(expected.document)["models"].items():
        wanted |= {f"{model}@{version}": share for version, share in shares(table["versions"]).items()}
    for reference in said.keys() - wanted.keys():
        return f"{reference} is still listed"
    for reference, share in wanted.items():
        entry = said.get(reference)
        if entry is None:
            return f"{reference} is not listed yet"
        if abs(entry["share"] - share) > 1e-6:
            return f"{reference} has {entry['share']:.0%} of the traffic, not {share:.0%} yet"
        if reference not in expected.hashes and share == 0:
            continue  # without traffic, and not what this command changes: it may be as broken as it was before
        if entry["state"] == ASLEEP and reference not in expected.hashes:
            continue  # it wakes when somebody asks for it; asking it now would wake it for nobody
        if entry["state"] != "ready":
            return f"{reference} is {entry['state']}: {entry.get('reason') or 'no reason given'}"
        if reference in expected.hashes and (waiting := _artifact(entry, expected.hashes[reference], age_s)):
            return waiting
    return ""


def _artifact(entry: Entry, wanted: str | None, age_s: float) -> str:
    """Why a version may not serve its new artifact yet; empty when it does."""
    if entry.get("reason"):
        return f"{entry['id']}: {entry['reason']}"
    if wanted is None or entry["hash"] is None:
        return "" if age_s > STALE_S else f"{entry['id']} has not been asked again yet"
    return "" if entry["hash"] == wanted else f"{entry['id']} serves {entry['hash'][:12]}, not {wanted[:12]} yet"


def replicas(details: Mapping[str, Any], application: str) -> int:
    """How many replicas of an application answer requests, at least 1; decoders do not."""
    deployments = details.get("applications", {}).get(application, {}).get("deployments", {})
    answering = [deployment for name, deployment in deployments.items() if name != DECODER_NAME]
    return max([len(deployment.get("replicas", [])) for deployment in answering], default=1) or 1


def hold_s(details: Mapping[str, Any], expected: Expected) -> float:
    """Seconds for which answers must agree: a gateway asks one replica of an encoder at a time, so others may lag."""
    names = {application_name(*split(reference)) for reference in expected.hashes}
    most = max((replicas(details, name) for name in names), default=1)
    return 0.0 if most == 1 else min(most, 5) * REFRESH_S
