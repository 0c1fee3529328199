"""Which prompt a request gets: by its name, or by what its protocol calls the kind of input."""

from __future__ import annotations

import pytest

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.key import cache_key
from deployments.gateway.prompts import prompted
from deployments.rpc.codec import EncodeCall, pack_call, unpack_call
from models.errors import InputError
from models.inputs.prompted import Prompted


def info(*names: str, silent: tuple[str, ...] = (), selectable: tuple[str, ...] | None = None) -> ModelInfo:
    """A model with prompts of these names, beside those that say nothing."""
    taken = (*names, *silent) if selectable is None else selectable
    return ModelInfo(Label("m@1", "h"), "m", "text", 4, "fp32", "CPU", prompts=names, selectable=taken)


E5, BGE = info("query", "document"), info("query", silent=("document",))
NOMIC, JINA = info("search_query", "search_document", "clustering"), info("retrieval.query", "retrieval.passage")
PASSAGE, NONE = info("query", "passage"), info()
EARLIER = ModelInfo(Label("m@1", "h"), "m", "text", 4, "fp32", "CPU", prompts=("query",))
UNPOOLED = info("query", "document", selectable=("query",))


@pytest.mark.parametrize(
    ("model", "name", "kind", "chosen"),
    [
        (E5, "query", None, "query"),
        (E5, None, "query", "query"),
        (E5, None, "search_query", "query"),
        (E5, None, "search_document", "document"),
        (E5, None, "RETRIEVAL_QUERY", "query"),
        (E5, None, "retrieval.passage", "document"),
        (E5, None, "passage", "document"),
        (E5, "query", "search_query", "query"),
        (E5, None, None, None),
        (BGE, None, "document", "document"),
        (NOMIC, None, "query", "search_query"),
        (NOMIC, None, "document", "search_document"),
        (NOMIC, None, "clustering", "clustering"),
        (NOMIC, None, "Clustering", "clustering"),
        (JINA, None, "query", "retrieval.query"),
        (PASSAGE, None, "search_document", "passage"),
        (info("query"), None, "document", None),
        (NONE, None, "search_document", None),
        (NONE, None, "whatever", None),
        (UNPOOLED, "query", None, "query"),
    ],
)
def test_the_prompt_of_a_name_or_a_kind(
    model: ModelInfo, name: str | None, kind: str | None, chosen: str | None
) -> None:
    items: list[Item] = ["a text", (1, 2)]
    wanted = items if chosen is None else [Prompted(chosen, "a text"), Prompted(chosen, (1, 2))]
    assert prompted(items, name, kind, model) == wanted


@pytest.mark.parametrize(
    ("model", "name", "kind", "message"),
    [
        (E5, "qery", None, "prompt_name 'qery' is not offered: this model's prompts are query, document; send one"),
        (E5, "Query", None, "prompt_name 'Query' is not offered"),
        (
            E5,
            None,
            "classification",
            "input_type 'classification' is not offered: this model's prompts are query, document",
        ),
        (E5, "query", "document", "contradict each other"),
        (NONE, "query", None, "this model has no prompts; leave it out"),
        (EARLIER, "query", None, "of an earlier release"),
        (EARLIER, None, "query", "of an earlier release"),
        (UNPOOLED, "document", None, "pools without its prompt"),
        (UNPOOLED, None, "search_document", "pools without its prompt"),
    ],
)
def test_what_a_model_does_not_have_is_refused_with_what_it_has(
    model: ModelInfo, name: str | None, kind: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prompted(["a text"], name, kind, model)


def test_a_prompt_travels_to_the_encoder_with_its_item() -> None:
    items: list[Item] = [Prompted("query", "a text"), "another", (1, 2), Prompted("x", (3,)), b"bytes"]
    call = EncodeCall(items, Queued("g", 1, 0))
    assert unpack_call(b"".join(pack_call(call))) == call


def test_items_with_other_prompts_never_share_a_vector_in_the_cache() -> None:
    contents: list[str | tuple[int, ...]] = ["a", "query: a", "b", (1,), (1, 2), ""]
    names = ["query", "document", "", "querya"]
    items: list[Item] = [*contents, *(Prompted(name, content) for name in names for content in contents)]
    assert len({cache_key("identity", item) for item in items}) == len(items)
    assert cache_key("other", items[-1]) != cache_key("identity", items[-1])
