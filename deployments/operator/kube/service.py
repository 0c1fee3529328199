"""A service by its RayService: read and changed there, as ``RunningService`` is by Serve's REST API.

Every write is a merge patch with the ``resourceVersion`` that was read. KubeRay's own updates of the status change that
version too, so a refused patch is tried again as long as configuration and note are still those that were read.
"""

from __future__ import annotations

import os
import time
from typing import Any

from deployments.operator import lock
from deployments.operator.document import Document, gateway
from deployments.operator.kube import preload, status
from deployments.operator.kube.api import ChangedError, KubeApi, MissingError, Resource
from deployments.operator.kube.change_note import ChangeNote
from deployments.operator.kube.events import announce
from deployments.operator.kube.history import History, Revision
from deployments.operator.kube.standing import Standing, as_text
from deployments.operator.lock import Claim, OvertakenError
from deployments.operator.served import Entry, served_versions
from models.errors import EmbedserveError, UnavailableError

FRESH_S = 6.0  # KubeRay looks every 2 s; the look in which it submits a configuration reports what Serve did before
ATTEMPTS = 50  # patches refused because KubeRay wrote the status meanwhile
LOOK_S = 1.0  # the RayService is read at most this often while a change is waited for


class KubeService:
    """A RayService, and the Serve that KubeRay keeps to it."""

    atomic = True

    def __init__(self, api: KubeApi, name: str | None = None, url: str | None = None) -> None:
        """Connect; without a name to the only RayService of the namespace.

        Args:
            api: the namespace.
            name: of the RayService.
            url: where the service answers this machine; found inside the cluster, otherwise KubeRay's word must do.

        Raises:
            ConfigError: there is no such RayService.
        """
        self.api = api
        self.name = name or _only(api)
        self.where = f"RayService {self.name} in {api.namespace}"
        self._url = url
        self._history = History(api, self.name)
        self._original: Standing | None = None  # before anything of ours
        self._expected: Standing | None = None  # what was read, or written last
        self._tried: Standing | None = None  # what was sent last; whether it arrived may be unknown
        self._looked: tuple[float, Resource] | None = None
        self._observed_at: float | None = None

    def resource(self) -> Resource:
        """The RayService as it is.

        Raises:
            EmbedserveError: it cannot be read.
        """
        return self.api.get("RayService", self.name)

    def read(self, patience_s: float = 0) -> Document:  # noqa: ARG002 - the API is patient by itself
        """The configuration in the RayService."""
        standing = Standing.of(self.resource())
        if self._tried is None:
            self._original = self._expected = standing
        return standing.document(self.where)

    def look(self) -> tuple[dict[str, Any], Document]:
        """What KubeRay says of the applications, and the configuration in the RayService."""
        now = time.monotonic()
        if self._looked is None or now - self._looked[0] >= LOOK_S:
            self._looked = (now, self.resource())
        resource = self._looked[1]
        document = Standing.of(resource).document(self.where)
        observed = (resource.get("status") or {}).get("observedGeneration") or 0
        seen = observed >= resource["metadata"].get("generation", 0)
        self._observed_at = (self._observed_at or now) if seen else None
        fresh = self._observed_at is not None and now - self._observed_at >= FRESH_S
        said = status.details(resource, document, fresh)
        if not seen:
            said["waiting"] = "KubeRay has not submitted the change yet"
        elif not fresh and self._asked(document) is None:
            said["waiting"] = "KubeRay has not reported on Serve since the change"
        return said, document

    def url(self, document: Document) -> str:
        """Where the service answers; empty where that is not known."""
        return self._asked(document) or ""

    def versions(self, document: Document) -> list[Entry]:
        """The entries of ``/v1/models`` where the service answers this machine, otherwise what KubeRay knows."""
        url = self._asked(document)
        if url:
            return served_versions(url)
        return status.entries(self._looked[1] if self._looked else self.resource(), document)

    def begin(self, document: Document) -> int:
        """Make sure that the history holds what stands, and give the number of the next change.

        Raises:
            EmbedserveError: KubeRay would not hand a change on, or the history cannot be written.
        """
        resource = self.resource()
        if reason := status.obstacle(resource):
            raise UnavailableError(f"{self.where} takes no change now: {reason}; nothing was changed")
        standing = Standing.of(resource)
        revisions = self._history.revisions()
        last = max([lock.revision(document), *(revision.number for revision in revisions)])
        if not revisions or revisions[-1].config != standing.text:
            last = self._history.append(standing.revision(last + 1))
        return last + 1

    def write(self, document: Document, patience_s: float = 0) -> None:  # noqa: ARG002 - the API is patient by itself
        """Put a configuration into the RayService, if it still holds what was read or written last.

        Raises:
            OvertakenError: it holds something else.
            EmbedserveError: Kubernetes refuses it, or does not answer.
        """
        if self._expected is None:
            self.read()
        expected = self._expected
        assert expected is not None
        text = as_text(document, expected, self._original)
        claim = lock.last_claim(document)
        assert claim is not None, "every command writes its claim"
        rollouts = gateway(document).get("previous", {}).get(lock.ROLLOUTS)
        wanted = Standing(text, ChangeNote.of(lock.revision(document), claim, text, rollouts))
        for _ in range(ATTEMPTS):
            resource = self.resource()
            standing = Standing.of(resource)
            if standing == wanted:  # the answer to a patch was lost
                break
            if standing not in (expected, self._tried):
                if expected == self._original:
                    self._tried = None
                raise OvertakenError(lock.overtaken(standing.document(self.where)))
            self._tried = wanted
            try:
                self.api.merge("RayService", self.name, wanted.patch(resource))
            except ChangedError:
                continue
            break
        else:
            raise UnavailableError(f"{self.where} is written by others all the time; try again")
        self._expected, self._looked = wanted, None
        if wanted.text != expected.text:
            self._observed_at = None

    def ended(self, number: int, claim: Claim, result: str) -> str:
        """Note a change: in the history, in what new workers download, in an Event; what that lacked, as a sentence."""
        assert self._expected is not None
        assert self._original is not None
        lacking = []
        entry = Revision(number, claim.at, claim.by, claim.command, result, self._expected.text)
        try:
            self._history.append(entry)
        except EmbedserveError as error:
            lacking.append(f"the history lacks this change: {error}")
        before = self._original.document(self.where)
        try:
            preload.follow(self.api, before, self.resource, self.where)
        except EmbedserveError as error:
            lacking.append(f"what new workers download first ({preload.KEY}) is still what was served before: {error}")
        try:
            announce(self.api, self.resource(), f"{claim}: {result} (revision {number})", failed=result != "done")
        except EmbedserveError as error:
            lacking.append(f"no Event was made: {error}")
        return "; ".join(lacking)

    def revisions(self) -> list[Revision]:
        """The history, the oldest first, with what stands now if that is not in it."""
        revisions = self._history.revisions()
        standing = Standing.of(self.resource())
        if revisions and revisions[-1].config == standing.text:
            return revisions
        return [*revisions, standing.revision(revisions[-1].number + 1 if revisions else 1)]

    def _asked(self, document: Document) -> str | None:
        """Where this machine asks the service itself."""
        if self._url:
            return self._url.rstrip("/")
        if "KUBERNETES_SERVICE_HOST" not in os.environ:
            return None
        port = document.get("http_options", {}).get("port", 8000)
        return f"http://{self.name}-serve-svc.{self.api.namespace}.svc:{port}"


def _only(api: KubeApi) -> str:
    names = [resource["metadata"]["name"] for resource in api.every("RayService")]
    if len(names) == 1:
        return str(names[0])
    there = f"there are: {', '.join(names)}" if names else "there is none; --namespace names another namespace"
    raise MissingError(f"--rayservice must name the RayService in the namespace {api.namespace}; {there}")
