"""What tokenizer_config.json may say of SigLIP's own tokenizer, whose words lie in a file of SentencePiece."""

from __future__ import annotations

from typing import Any

from models.catalog.fields import Fields
from models.catalog.folder import ModelFolder
from models.errors import ArtifactError
from models.inputs.sentencepiece_file import read_sentencepiece
from models.inputs.siglip_words import END, UNKNOWN
from models.inputs.siglip_words import FILE as WORDS

FILE = "tokenizer_config.json"
FILLED = 64  # tokens that its class fills texts up to where no file says it
OTHER_FILES = ("special_tokens_map.json", "added_tokens.json")
NAMED = {"eos_token": END, "pad_token": END, "unk_token": UNKNOWN}
FLAGS = ("special", "single_word", "lstrip", "rstrip", "normalized")
NEUTRAL = (
    "tokenizer_class",  # read before
    "processor_class",
    "clean_up_tokenization_spaces",  # of decoding
    "legacy",  # of SentencePiece's leading space, which this class takes off again
    "name_or_path",
    "special_tokens_map_file",
    "tokenizer_file",
    "backend",
    "is_local",
    "local_files_only",
)


def siglip_words(folder: ModelFolder, longest: int) -> dict[str, Any]:
    """The part of ``config`` of a catalogue entry that is of the tokenizer.

    Args:
        folder: of config.json.
        longest: tokens that texts are filled up to.

    Raises:
        ArtifactError: a file asks for what is not served.
    """
    fields = folder.fields(FILE)
    lower = fields.take("do_lower_case", bool, True)
    _require_words(fields)
    if fields.take("sp_model_kwargs", dict, {}, nullable=True) != {}:
        fields.require("sp_model_kwargs", {})
    for key, usual in (("padding_side", "right"), ("truncation_side", "right"), ("split_special_tokens", False)):
        fields.require(key, usual)
    names = fields.raw("model_input_names")
    if names not in (None, ["input_ids"]):
        raise ArtifactError(
            f"{FILE}: model_input_names is {names!r:.80}, by which the library would hide the filling from a model that was "
            'trained to see it; write ["input_ids"]'
        )
    filled = fields.take("model_max_length", int, FILLED)
    if filled != longest:
        raise ArtifactError(
            f"{FILE}: model_max_length is {filled}, up to which the library fills texts, and the model has {longest} positions"
        )
    fields.ignore(NEUTRAL)
    fields.end()
    for name in OTHER_FILES:
        _require_nothing_else(folder, name)
    end = _end(folder)
    folder.note(
        "words", f"SigLIP's tokenizer, {'in lower case' if lower else 'as they are'}, without punctuation", WORDS
    )
    folder.note("filled up with", end, WORDS)
    return {"fill": end, "siglip_words": "lower" if lower else "cased"}


def _require_words(fields: Fields) -> None:
    """Refuse other special words than SigLIP has."""
    fields.refuse_null(*NAMED, "added_tokens_decoder", "model_input_names")
    fields.require("additional_special_tokens", [])
    for key, word in NAMED.items():
        value = fields.raw(key)
        if value is not None and _content(value) != word:
            raise ArtifactError(f"{fields.where}: {key} is {value!r:.80}; SigLIP's is {word!r}")
    for key in (
        "extra_special_tokens",
        "bos_token",
        "cls_token",
        "sep_token",
        "mask_token",
    ):
        fields.require_empty(key)
    for index, token in fields.take("added_tokens_decoder", dict, {}).items():
        known = isinstance(token, dict) and _content(token) in (END, UNKNOWN) and index.isdecimal()
        flags = [token.get(flag, flag == "special") for flag in FLAGS] if known else []
        if not known or not all(isinstance(flag, bool) for flag in flags) or flags[:2] != [True, False]:
            raise ArtifactError(
                f"{fields.where}: added_tokens_decoder.{index} is {token!r:.120}; SigLIP's are {END} and {UNKNOWN} alone, "
                "special ones, with true or false for each flag"
            )


def _require_nothing_else(folder: ModelFolder, name: str) -> None:
    others = folder.json(name)
    if name == OTHER_FILES[0]:
        groups = [value if isinstance(value, list) else [value] for value in others.values()]
        words = [_content(word) for group in groups for word in group]
    else:
        words = list(others)
    for word in words:
        if word not in (END, UNKNOWN):
            raise ArtifactError(f"{name}: {word!r:.80} is none of SigLIP's words, {END} and {UNKNOWN}")


def _content(word: Any) -> Any:
    return word.get("content") if isinstance(word, dict) else word


def _end(folder: ModelFolder) -> int:
    """The id of the word that ends texts and fills them up."""
    try:
        pieces = read_sentencepiece((folder.path / WORDS).read_bytes()).pieces
        return [piece for piece, _ in pieces].index(END)
    except ValueError:
        raise ArtifactError(f"{WORDS} has no piece {END}, which ends every text") from None
    except (ArtifactError, OSError) as error:
        raise ArtifactError(f"{WORDS}: {error}") from error
