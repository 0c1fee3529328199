"""sentence_bert_config.json of sentence-transformers, which an encoder's folder may hold under several names."""

from __future__ import annotations

from models.catalog.fields import Fields
from models.catalog.folder import ModelFolder
from models.catalog.modules import Modules
from models.errors import ArtifactError

SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)  # the first of them that there is counts


def sentence_config(encoder: ModelFolder, modules: Modules) -> tuple[Fields, str]:
    """What it says, and its name.

    Raises:
        ArtifactError: it is there, and nothing says that it counts.
    """
    found = next((name for name in SENTENCE_CONFIGS if (encoder.path / name).exists() and encoder.json(name)), None)
    if found is None:
        return Fields({}, SENTENCE_CONFIGS[0]), SENTENCE_CONFIGS[0]
    if not modules.listed:
        if encoder.wishes.max_length is None:
            raise ArtifactError(f"{found} is there, and no modules.json makes it count; add that, or say --max-length")
        return Fields({}, found), found
    return encoder.fields(found), found


def require_plain(sentence: Fields) -> None:
    """Refuse what makes more of the encoder than token vectors of texts.

    Raises:
        ArtifactError: a field asks for more, or one that it needs is missing.
    """
    sentence.refuse_null("transformer_task", "modality_config")
    if "modality_config" in sentence and "module_output_name" not in sentence:
        raise ArtifactError(
            f"{sentence.where}: module_output_name is missing, which the library needs beside modality_config"
        )
    sentence.require("transformer_task", "feature-extraction")
    sentence.require("module_output_name", "token_embeddings")
    sentence.require("modality_config", {"text": {"method": "forward", "method_output_name": "last_hidden_state"}})
    sentence.require_empty("processing_kwargs", "query_expansion", "query_length", "document_length")
    sentence.require_empty("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args")
    sentence.require_empty("config_kwargs", "tokenizer_name_or_path")
    sentence.ignore(("unpad_inputs",))  # a way to compute the same
    sentence.end()
