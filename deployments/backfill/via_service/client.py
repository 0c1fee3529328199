"""Requests of a job to a running service: answers are held to one artifact and one numerics class."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Sequence

import httpx2
import numpy as np
from numpy.typing import NDArray

from deployments.backfill.expectation import Expectation
from deployments.backfill.live_service import written
from deployments.backfill.via_service.lane import Lane
from deployments.operator.served import credentials
from models.errors import ForbiddenError, InputError, JobError
from models.http_client import direct
from models.inputs.prompted import Prompted
from models.modalities.base import Item

TIMEOUT_S = 120.0
PATIENCE_S = 600.0  # without an answer: a rollout of the service takes minutes
LONGEST_PAUSE_S = 30.0
BUSY = frozenset({408, 429, 500, 502, 503, 504})
WRONG = frozenset({400, 413, 415, 422})  # something about the input
Vector = NDArray[np.float32]


class ServiceClient:
    """One version of one service; used by many threads."""

    def __init__(self, url: str, reference: str, expected: Expectation, connections: int) -> None:
        """Keep at most so many connections."""
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = direct(timeout=TIMEOUT_S, limits=limits)
        self._url, self._reference, self._expected = url.rstrip("/"), reference, expected

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def embed(self, items: Sequence[Item], lane: Lane) -> list[Vector | InputError]:
        """Vectors of inputs, each float32 [d], or why there is none.

        Raises:
            JobError: the service does not answer for long, or with other vectors than it began with.
            ForbiddenError: it asks for another API key.
        """
        found: list[Vector | InputError] = []
        while len(found) < len(items):
            found += self._some(items[len(found) :], lane)
        return found

    def _some(self, items: Sequence[Item], lane: Lane) -> list[Vector | InputError]:
        """The same for the first of them, as many as the lane has places."""
        answer, count = self._answered(items, lane)
        if answer.status_code == 200:
            return list(self._vectors(answer, count))
        if answer.status_code not in WRONG:
            raise JobError(f"{self._url} answers {answer.status_code}: {_said(answer)[0]}")
        if count == 1:
            reason, code = _said(answer)
            return [InputError(reason, code=code)]
        middle = count // 2
        return [*self.embed(items[:middle], lane), *self.embed(items[middle:count], lane)]

    def post(self, items: Sequence[Item], *, bulk: bool) -> httpx2.Response | None:
        """One request; None where nothing answers.

        Raises:
            ForbiddenError: the service asks for another API key.
        """
        body: dict[str, object] = {"model": self._reference, "input": [written(item) for item in items]}
        body["encoding_format"] = "base64"
        if items and isinstance(items[0], Prompted):  # all of a job have the same
            body["prompt_name"] = items[0].prompt
        headers = {**credentials(), "x-priority": "bulk" if bulk else "interactive"}
        try:
            answer = self._client.post(f"{self._url}/v1/embeddings", json=body, headers=headers)
        except httpx2.HTTPError:
            return None
        if answer.status_code in (401, 403):
            raise ForbiddenError(
                f"{self._url} asks for an API key; EMBEDSERVE_API_KEY must hold one", code="invalid_api_key"
            )
        return answer

    def _answered(self, items: Sequence[Item], lane: Lane) -> tuple[httpx2.Response, int]:
        """The first answer that is no refusal, and to how many of the inputs; the lane learns of each."""
        began, pause = time.monotonic(), 0.5
        while True:
            count, answer, start = lane.take(len(items)), None, time.monotonic()
            try:
                answer = self.post(items[:count], bulk=True)
            finally:
                good = answer is not None and answer.status_code not in BUSY
                lane.pause(lane.window.rest(time.monotonic() - start))
                lane.leave(count, answered=good)
            if answer is not None and good:
                return answer, count
            what = "nothing answers" if answer is None else f"it answers {answer.status_code}: {_said(answer)[0]}"
            waited = time.monotonic() - began
            if waited > PATIENCE_S:
                raise JobError(f"{self._url}: {what}, for {PATIENCE_S:.0f} s; the same command goes on later")
            if lane.may_say(waited):
                print(f"{self._url}: {what}; for {waited:.0f} s, asking again", file=sys.stderr, flush=True)
            lane.pause(min(LONGEST_PAUSE_S, max(pause, _retry_after(answer))))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _vectors(self, answer: httpx2.Response, count: int) -> list[Vector]:
        for header, wanted in (("x-model-hash", self._expected.hash), ("x-model-numerics", self._expected.numerics)):
            found = answer.headers.get(header)
            if found != wanted:
                raise JobError(
                    f"{self._url} now serves {self._reference} with {header} {found}, and the job was begun with {wanted}: "
                    "vectors of the two do not belong into one sink under one name"
                )
        try:
            vectors = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"{self._url} answers with what holds no vectors: {error}") from error
        if len(vectors) != count:
            raise JobError(f"{self._url} answers with {len(vectors)} vectors for {count} inputs")
        return vectors


def _said(answer: httpx2.Response) -> tuple[str, str]:
    """Message and code of an error."""
    try:
        error = answer.json()["error"]
        return str(error["message"]), str(error.get("code") or "refused")
    except (ValueError, KeyError, TypeError):
        return answer.text[:200], "refused"


def _retry_after(answer: httpx2.Response | None) -> float:
    said = "" if answer is None else answer.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else 0.0
