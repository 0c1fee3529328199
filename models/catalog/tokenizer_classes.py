"""Transformers' classes of tokenizers: which of them build a tokenizer.json anew, and with what."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from models.catalog.fields import Fields
from models.catalog.folder import ASSUMED, ModelFolder
from models.catalog.tokenizer_words import CONFIG, FILE
from models.errors import ArtifactError
from models.inputs.tokenizer_rewrite import Rules

AS_THEY_ARE = ("TokenizersBackend", "PreTrainedTokenizer", "CLIPTokenizer")  # without the word Fast at the end
BERT_WORDS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA_WORDS = {
    "bos": "<s>",
    "eos": "</s>",
    "sep": "</s>",
    "cls": "<s>",
    "unk": "<unk>",
    "pad": "<pad>",
    "mask": "<mask>",
}
MPNET_WORDS = {**ROBERTA_WORDS, "unk": "[UNK]"}
RULES: dict[str, tuple[Rules, dict[str, str]]] = {
    "BertTokenizer": ("bert", BERT_WORDS),
    "DistilBertTokenizer": ("bert", BERT_WORDS),
    "MPNetTokenizer": ("bert", MPNET_WORDS),
    "RobertaTokenizer": ("roberta", ROBERTA_WORDS),
    "XLMRobertaTokenizer": ("xlm-roberta", ROBERTA_WORDS),
}
BY_MODEL = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "nomic_bert": "BertTokenizer",
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}
FOR_ALL = {"modernbert"}  # transformers takes tokenizer.json as it is, whatever class is named
MODELS = {"bert": "WordPiece", "roberta": "BPE", "xlm-roberta": "Unigram"}


def rules_of(folder: ModelFolder, fields: Fields, config: dict[str, Any]) -> tuple[Rules | None, dict[str, str]]:
    """Whose rules build the tokenizer anew, and the words that it looks for unless told otherwise.

    Raises:
        ArtifactError: the files name a class that is not known here.
    """
    fields.require_empty("auto_map")
    model_type = config.get("model_type")
    said = fields.take("tokenizer_class", str, "", nullable=True) or config.get("tokenizer_class") or ""
    if not isinstance(said, str):
        raise ArtifactError(f"config.json: tokenizer_class must be a text, not {said!r:.60}")
    name = said.removesuffix("Fast")
    source = CONFIG if said else ASSUMED
    if model_type in FOR_ALL:
        name = "TokenizersBackend"
    elif not name:
        name = BY_MODEL.get(str(model_type), "TokenizersBackend")
    if name in AS_THEY_ARE:
        return None, {}
    if name not in RULES:
        known = ", ".join((*RULES, "TokenizersBackend"))
        raise ArtifactError(
            f"{CONFIG}: tokenizer_class is {said!r:.80}; known are {known}. If {FILE} says all, write TokenizersBackend"
        )
    folder.note("tokenizer", name, source)
    return RULES[name]


def require_model(document: dict[str, Any], rules: str, named: dict[str, str], tokenizer: Tokenizer) -> None:
    """Refuse a model of words that transformers would build with other settings, and other ends of a text.

    Raises:
        ArtifactError: tokenizer.json has such settings or ends.
    """
    model = document["model"]
    usual: dict[str, Any] = {"type": MODELS[rules], "unk_token": named["unk"]}
    if rules == "bert":
        usual |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    elif rules == "roberta":
        usual = {"type": "BPE", "dropout": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
        usual |= {"unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": ""}
    else:
        usual = {"type": "Unigram", "unk_id": 3, "byte_fallback": False}
    for key, value in usual.items():
        if model.get(key, value) not in (value, None if value == "" else value):
            raise ArtifactError(
                f"{FILE}: model.{key} is {model[key]!r:.60}, and transformers would use {value!r} for this class; write "
                f"TokenizersBackend as tokenizer_class in {CONFIG} if {FILE} is right"
            )
    start, end = ("bos", "eos") if rules == "xlm-roberta" else ("cls", "sep")
    wanted = [tokenizer.token_to_id(named[start]), tokenizer.token_to_id(named[end])]
    found = tokenizer.encode("").ids
    if found != wanted:
        raise ArtifactError(
            f"{FILE}: an empty text becomes {found}, and transformers would make {wanted} of it ({named[start]}, "
            f"{named[end]}); correct {start}_token and {end}_token in {CONFIG}, or post_processor in {FILE}"
        )
