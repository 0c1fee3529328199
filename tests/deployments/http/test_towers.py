"""One name for texts and pictures: each input goes to its tower, and every answer says which artifact made which vector."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.key import cache_key
from models.modalities.image_text import stands_for_picture
from tests.deployments.http.service import HASH, NUMERICS, TEXT, Application, application, serving

TOWERS = {"both": {"image": "image-embedding", "text": "m"}}
IMAGE, TEXTS = "image-embedding@1", "m@1"
OF_TEXT, OF_PICTURE = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]
IMAGE_HASH = "4567"


@pytest.fixture
def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def png64(png: bytes) -> str:
    return base64.b64encode(png).decode()


def served(folder: Path, png: bytes, **config: Any) -> Application:
    """The vectors of one text and of one picture are known; another one would be waited for."""
    made = application(folder, towers=TOWERS, aliases={"clip": "both", "first": "both@1"}, **config)
    label = Label(IMAGE, IMAGE_HASH, synthetic=True, numerics=NUMERICS)
    made.embeddings.registry.versions[IMAGE].info = ModelInfo(label, "i", "image", 4, "fp32", "CPU", checkpoints=("c",))
    known = made.embeddings.registry.versions[TEXTS]
    assert known.info is not None
    known.info = replace(known.info, checkpoints=("c", "d"))
    vector = np.array(OF_PICTURE, np.float32)
    made.embeddings.cache.put(cache_key(label.identity, png), Embedding(vector, 0, label))
    return made


@pytest.fixture
def made(tmp_path: Path, png: bytes) -> Application:
    return served(tmp_path, png)


@pytest.fixture
def client(made: Application) -> Iterator[httpx2.Client]:
    with serving(made.app) as running:
        yield running


def embed(client: httpx2.Client, value: Any, model: str = "both", **fields: Any) -> httpx2.Response:
    answer = client.post("/v1/embeddings", json={"model": model, "input": value, **fields})
    assert answer.status_code == 200, answer.text
    return answer


def vectors(answer: httpx2.Response) -> list[list[float]]:
    return [row["embedding"] for row in answer.json()["data"]]


@pytest.mark.parametrize("model", ["both", "clip", "both@1", "first"])
def test_the_input_chooses_the_tower(client: httpx2.Client, png: bytes, png64: str, model: str) -> None:
    for value in (TEXT, [TEXT], [{"text": TEXT}]):
        answer = embed(client, value, model)
        assert (vectors(answer), answer.headers["x-model"], answer.headers["x-model-hash"]) == ([OF_TEXT], TEXTS, HASH)
        assert "x-model-weights" not in answer.headers
    for value in (png64, f"data:image/png;base64,{png64}", [{"image": png64}]):
        answer = embed(client, value, model)
        assert (vectors(answer), answer.headers["x-model"]) == ([OF_PICTURE], IMAGE)
        assert answer.headers["x-model-weights"] == "synthetic"
    raw = client.post(f"/v1/embeddings/image?model={model}", content=png, headers={"content-type": "image/png"})
    assert vectors(raw) == [OF_PICTURE]


def test_the_fields_of_a_form_count_as_those_of_the_query_do(client: httpx2.Client, png: bytes) -> None:
    files = [("file", png)]
    fields: dict[str, Any] = {"model": "both", "dimensions": "2", "encoding_format": "base64", "user": "u"}
    fields |= {"unknown": ["x" * 100_000, "y"], "another": b"\xff"}
    said = client.post("/v1/embeddings/image", data=fields, files=files)
    asked = client.post("/v1/embeddings/image?model=both&dimensions=2&encoding_format=base64", files=files)
    assert (said.status_code, said.json()) == (200, asked.json())
    assert client.post("/v1/embeddings/image?model=both", data={"model": "both"}, files=files).status_code == 200


@pytest.mark.parametrize(
    ("query", "fields", "param"),
    [
        ("", {"model": "nope"}, None),
        ("", {"dimensions": "four"}, "dimensions"),
        ("", {"encoding_format": "hex"}, "encoding_format"),
        ("", {"model": ["both", "image-embedding"]}, "model"),
        ("", {"model": b"\xff"}, "model"),
        ("?dimensions=2", {"dimensions": "3"}, "dimensions"),
        ("", {"late_chunking": "true"}, "late_chunking"),
    ],
)
def test_a_field_of_a_form_that_cannot_be_honoured_is_refused(
    client: httpx2.Client, png: bytes, query: str, fields: dict[str, Any], param: str | None
) -> None:
    answer = client.post(f"/v1/embeddings/image{query}", data=fields, files=[("file", png)])
    assert answer.status_code in (400, 404), answer.text
    assert param is None or answer.json()["error"]["param"] == param


@pytest.mark.parametrize("tagged", [True, False], ids=["that says what each input is", "of plain strings"])
def test_a_mixed_list_comes_back_in_its_order_and_says_who_made_each_vector(
    client: httpx2.Client, png64: str, tagged: bool
) -> None:
    items = [("text", TEXT), ("image", png64), ("text", TEXT), ("image", png64)] * 10
    answer = embed(
        client, [{kind: content} for kind, content in items] if tagged else [content for _, content in items]
    )
    assert vectors(answer) == [OF_TEXT, OF_PICTURE] * 20
    said = [(row["index"], row["model"], row["hash"]) for row in answer.json()["data"]]
    assert said == [(i, (TEXTS, IMAGE)[i % 2], (HASH, IMAGE_HASH)[i % 2]) for i in range(40)]
    names = ("x-model", "x-model-hash", "x-model-weights", "x-cache", "x-model-numerics")
    expected = [f"{IMAGE}, {TEXTS}", f"{IMAGE_HASH}, {HASH}", "synthetic", "hit", NUMERICS]
    assert [answer.headers[name] for name in names] == expected
    assert answer.json()["usage"]["prompt_tokens"] == 100


def test_weaviates_module_gets_texts_and_pictures_of_one_space(client: httpx2.Client, png64: str) -> None:
    answer = client.post("/vectorize", json={"texts": [TEXT, TEXT], "images": [png64]})
    assert answer.json() == {"textVectors": [OF_TEXT, OF_TEXT], "imageVectors": [OF_PICTURE]}
    assert client.post("/vectorize", json={"texts": [TEXT]}).json() == {"textVectors": [OF_TEXT], "imageVectors": []}


@pytest.mark.parametrize(
    ("name", "model", "expected"), [("text", TEXTS, OF_TEXT), ("image", IMAGE, OF_PICTURE)], ids=["a text", "a picture"]
)
def test_a_tensor_says_by_its_name_which_tower_it_is_for(
    client: httpx2.Client, png64: str, name: str, model: str, expected: list[float]
) -> None:
    data = {"text": TEXT, "image": png64}[name]
    tensor = {"name": name, "datatype": "BYTES", "shape": [1], "data": [data]}
    answer = client.post("/v2/models/both/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["outputs"][0]["data"], answer.headers["x-model"]) == (expected, model)


def test_a_mixed_list_is_one_line_of_the_access_log(made: Application, client: httpx2.Client, png64: str) -> None:
    answer = embed(client, [TEXT, png64, TEXT])
    line = made.line(answer.headers["x-request-id"])
    assert (line["model"], line["version"], line["items"], line["tokens"]) == ("image-embedding", "1", 3, 10)
    assert line["hash"] == f"{IMAGE_HASH}, {HASH}"


def test_cohere_mixes_texts_and_pictures_too(client: httpx2.Client, png64: str) -> None:
    picture = {"content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png64}"}}]}
    body = {"model": "both", "inputs": [picture, {"content": [{"type": "text", "text": TEXT}]}], "input_type": "image"}
    answer = client.post("/v2/embed", json=body).json()
    assert (answer["embeddings"]["float"], answer["texts"]) == ([OF_PICTURE, OF_TEXT], [TEXT])


def test_the_other_protocols_take_the_name(client: httpx2.Client, png64: str) -> None:
    assert client.post("/embed", json={"inputs": [TEXT, png64], "model": "both"}).json() == [OF_TEXT, OF_PICTURE]
    tei = client.post("/embed?model=clip", json={"inputs": TEXT})
    assert tei.json() == [OF_TEXT]
    assert client.post("/api/embed", json={"model": "both", "input": TEXT}).json()["embeddings"] == [OF_TEXT]


@pytest.mark.parametrize("kind", ["text", "image"])
def test_what_a_request_says_of_its_inputs_counts_more_than_how_they_look(client: httpx2.Client, kind: str) -> None:
    answer = client.post("/v1/embeddings", json={"model": "both", "input": TEXT, "modality": kind})
    if kind == "text":
        assert vectors(answer) == [OF_TEXT]
    else:
        assert "no base64 of an image" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("value", "fields", "param", "message"),
    [
        ([{"text": TEXT}, {"text": TEXT}, {"image": "no picture"}], {}, "input[2]", "input[2] is no base64"),
        ([{"image": "no picture"}, {"text": TEXT}], {}, "input[0]", "input[0] is no base64"),
        ([{"text": TEXT}, {"image": "x"}, {"text": ""}], {"modality": None}, "input", "input["),
        ([TEXT, {"image": "x"}], {}, "input[0]", "input[0] must be {'text': a string}"),
        (TEXT, {"modality": "sound"}, "input", "both takes images and text; it takes no inputs of 'sound'"),
        ([{"text": TEXT}, {"image": "x"}], {"dimensions": 9}, None, ""),
        ([{"image": "x"}], {"modality": "text"}, "modality", "contradict each other"),
    ],
)
def test_errors_name_the_input_by_its_place_in_the_request(
    client: httpx2.Client, value: Any, fields: dict[str, Any], param: str | None, message: str
) -> None:
    answer = client.post("/v1/embeddings", json={"model": "both", "input": value, **fields})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert param is None or error["param"].startswith(param)


def test_where_one_tower_refuses_nothing_goes_on_waiting_in_the_other(made: Application, client: httpx2.Client) -> None:
    queue = made.embeddings.registry.versions[TEXTS].queue
    for number in range(made.embeddings.registry.config.queue.calls_per_replica):  # calls that never come back
        asked = {"model": "both", "input": f"another text {number}"}
        late = client.post("/v1/embeddings", json=asked, headers={"x-embedserve-timeout-seconds": "0.1"})
        assert late.status_code == 504, late.text
    mixed = [{"text": "a text that waits"}, {"image": "no picture"}]
    answer = client.post("/v1/embeddings", json={"model": "both", "input": mixed})
    assert (answer.status_code, queue.waiting_items) == (400, 0)


def test_a_model_of_one_modality_takes_no_mixed_list(client: httpx2.Client) -> None:
    answer = client.post("/v1/embeddings", json={"model": "m", "input": [{"text": "a"}, {"image": "b"}]})
    assert answer.status_code == 400
    assert "m@1 embeds text; it takes no inputs of several modalities" in answer.json()["error"]["message"]


@pytest.mark.parametrize("made_of", ["another checkpoint", "random weights"])
def test_a_tower_of_another_checkpoint_is_refused_and_the_leading_one_goes_on(
    made: Application, client: httpx2.Client, png64: str, made_of: str
) -> None:
    known = made.embeddings.registry.versions[TEXTS]
    assert known.info is not None
    known.info = replace(known.info, checkpoints=(made_of,))
    for value in (TEXT, [{"text": TEXT}, {"image": png64}]):
        answer = client.post("/v1/embeddings", json={"model": "both", "input": value})
        assert answer.status_code == 503
        assert f"m@1 and {IMAGE} are not of one checkpoint" in answer.json()["error"]["message"]
        assert made_of in answer.json()["error"]["message"]
    assert vectors(embed(client, png64)) == [OF_PICTURE]
    assert vectors(embed(client, TEXT, "m")) == [OF_TEXT], "by its own name it is asked as ever"


def test_a_tower_that_wakes_with_random_weights_is_refused_at_its_first_text_already(
    made: Application, client: httpx2.Client
) -> None:
    version = made.embeddings.registry.versions[TEXTS]
    awake, version.info = version.info, None
    assert awake is not None

    async def describe(_: float) -> ModelInfo:
        return replace(awake, checkpoints=("random weights",))

    version._replicas.describe = describe  # type: ignore[method-assign]
    answer = client.post("/v1/embeddings", json={"model": "both", "input": TEXT})
    assert (answer.status_code, "m@1 of random weights" in answer.text) == (503, True)


def test_a_mixed_request_takes_the_text_version_that_belongs_to_its_picture_version(tmp_path: Path, png: bytes) -> None:
    versions = {"1": 1, "2": 1}
    models = {"m": {"type": "text", "versions": versions}, "image-embedding": {"type": "image", "versions": versions}}
    made = served(tmp_path, png, models=models)
    registry = made.embeddings.registry
    for reference, checkpoint in ((TEXTS, "a"), ("m@2", "b"), (IMAGE, "a"), ("image-embedding@2", "b")):
        version = registry.versions[reference]
        vector, modality = (OF_TEXT, "text") if reference.startswith("m") else (OF_PICTURE, "image")
        label = Label(reference, f"of {reference}")
        version.info = ModelInfo(label, "n", modality, 4, "fp32", "CPU", checkpoints=(checkpoint,))
        item = TEXT if modality == "text" else png
        made.embeddings.cache.put(cache_key(label.identity, item), Embedding(np.array(vector, np.float32), 1, label))
    seen = set()
    with serving(made.app) as client:
        for number in range(60):
            headers = {"x-routing-key": f"caller {number}"} if number % 2 else {}
            body = {"model": "both", "input": [{"text": TEXT}, {"image": base64.b64encode(png).decode()}]}
            answer = client.post("/v1/embeddings", json=body, headers=headers)
            first, second = (row["model"] for row in answer.json()["data"])
            assert first.partition("@")[2] == second.partition("@")[2], "vectors of two checkpoints in one answer"
            seen.add(first)
    assert seen == {"m@1", "m@2"}


def test_the_name_is_listed_with_its_towers_and_all_their_versions(client: httpx2.Client) -> None:
    listed = {one["id"]: one for one in client.get("/v1/models").json()["data"]}
    both = listed["both"]
    assert (both["routes_to"], both["towers"]) == ("image-embedding", TOWERS["both"])
    assert [version["id"] for version in both["versions"]] == [IMAGE, TEXTS]
    assert listed["clip"]["towers"] == TOWERS["both"]
    assert client.get("/v1/models/both").json()["id"] == IMAGE
    assert client.get("/v1/models/both@1").json()["id"] == IMAGE
    missing = client.post("/v1/embeddings", json={"model": "both@9", "input": TEXT})
    assert (missing.status_code, "no version '9' of image-embedding" in missing.text) == (404, True)
    assert "both" in client.post("/v1/embeddings", json={"model": "x", "input": TEXT}).json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", True),
        (" DATA:IMAGE/JPEG;BASE64,/9j/", True),
        ("https://shop.example/a.jpg", True),
        ("/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRof", True),
        ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk", True),
        ("https://shop.example/a.jpg is where the picture lies", False),
        ("data: the new oil", False),
        ("data:text/plain;base64,aGVsbG8=", False),
        ("/9j/ is how base64 of a JPEG begins, which is of no use to anybody", False),
        ("/9j/4AAQ", False),
        ("UklGR", False),
        ("a dog on a beach", False),
        ("", False),
    ],
)
def test_what_stands_for_a_picture(text: str, picture: bool) -> None:
    assert stands_for_picture(text) is picture
