"""How a folder of a text model makes vectors: everything that its files say, as ``config`` of a catalogue entry."""

from __future__ import annotations

from typing import Any

from models.catalog.fields import Fields
from models.catalog.folder import ASKED, ASSUMED, ModelFolder
from models.catalog.modules import Modules, chosen_pooling, read_modules
from models.catalog.tokenizer_config import TokenizerReading, read_tokenizer
from models.errors import ArtifactError
from models.graph.head import Dense, Head
from models.graph.linear import Weights
from models.modalities.text_config import LONGEST, TextConfig
from models.validation import one_of

SENTENCE_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)  # the first of them that there is counts
MODEL_CONFIG = "config_sentence_transformers.json"
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
UNLIMITED = 10**20  # transformers takes a longer ``model_max_length`` as none


def text_settings(folder: ModelFolder, config: dict[str, Any], positions: int | None) -> dict[str, Any]:
    """``config`` of the catalogue entry of a text folder.

    Args:
        folder: the folder that holds modules.json, or the encoder alone.
        config: config.json of its encoder; empty where an ONNX file has none.
        positions: tokens that the encoder can place; None where nothing says it.

    Raises:
        ArtifactError: a file says something that is not served; the message names file and key.
    """
    modules = read_modules(folder)
    pooling = chosen_pooling(folder, modules)
    encoder = ModelFolder(folder.path / modules.transformer, folder.wishes, folder.facts)
    sentence, name = _sentence_config(encoder, modules)
    length, lower = sentence.take("max_seq_length", int, 0, nullable=True), sentence.take("do_lower_case", bool, False)
    if not length:
        sentence.require("max_seq_length")
    _require_plain(sentence)
    tokenizer = read_tokenizer(encoder, config, lower_case=_lower_case(folder, name, lower))
    settings: dict[str, Any] = {
        "max_sequence_length": _length(folder, (name, length), tokenizer, positions),
        "pooling": pooling[0] if len(pooling) == 1 else list(pooling),
    }
    if tokenizer.changes:
        settings["tokenizer"] = tokenizer.changes
    if modules.dense:
        settings["dense"] = [dict(layer) for layer in modules.dense]
    if not modules.include_prompt:
        settings["include_prompt"] = False
    settings |= _model_config(folder, modules, tokenizer, settings)
    return settings


def _sentence_config(encoder: ModelFolder, modules: Modules) -> tuple[Fields, str]:
    found = next((name for name in SENTENCE_CONFIGS if (encoder.path / name).exists() and encoder.json(name)), None)
    if found is None:
        return Fields({}, SENTENCE_CONFIGS[0]), SENTENCE_CONFIGS[0]
    if not modules.listed:
        if encoder.wishes.max_length is None:
            raise ArtifactError(f"{found} is there, and no modules.json makes it count; add that, or say --max-length")
        return Fields({}, found), found
    return encoder.fields(found), found


def _require_plain(sentence: Fields) -> None:
    """Refuse what makes more of the encoder than token vectors of texts."""
    sentence.require("transformer_task", "feature-extraction")
    sentence.require("module_output_name", "token_embeddings")
    sentence.require("modality_config", {"text": {"method": "forward", "method_output_name": "last_hidden_state"}})
    sentence.require_empty("processing_kwargs", "query_expansion", "query_length", "document_length")
    sentence.require_empty("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args")
    sentence.require_empty("config_kwargs", "tokenizer_name_or_path")
    sentence.ignore(("unpad_inputs",))  # a way to compute the same
    sentence.end()


def _lower_case(folder: ModelFolder, name: str, said: bool) -> bool:
    wished = folder.wishes.lower_case
    if wished is not None:
        folder.note("lower-cased before the tokenizer", "yes" if wished else "no", ASKED)
        return wished
    if said:
        folder.note("lower-cased before the tokenizer", "yes", name)
    return said


def _length(folder: ModelFolder, sentence: tuple[str, int], tokenizer: TokenizerReading, positions: int | None) -> int:
    """The length that sentence-transformers cuts at, as far as the encoder can place it."""
    name, said = sentence
    if folder.wishes.max_length is not None:
        found = [(folder.wishes.max_length, ASKED)]
    elif said:
        found = [(said, name)]
    elif tokenizer.max_length is not None and tokenizer.max_length <= UNLIMITED:
        found = [(tokenizer.max_length, "tokenizer_config.json (model_max_length)")]
    else:
        found = []
    if positions is not None:
        found.append((positions, "config.json (positions)"))
    if not found:
        raise ArtifactError("no file says how many tokens the model takes; say it with --max-length")
    length, source = min(found, key=lambda item: item[0])
    if length < 3:
        raise ArtifactError(f"{source} allows {length} tokens; a start, a word and an end are three")
    if length > LONGEST:
        folder.note(
            "longest text", f"{LONGEST} tokens", f"{ASSUMED}: {source} says {length}, the service takes {LONGEST}"
        )
        return LONGEST
    folder.note("longest text", f"{length} tokens", source)
    return length


def _model_config(
    folder: ModelFolder, modules: Modules, tokenizer: TokenizerReading, settings: dict[str, Any]
) -> dict[str, Any]:
    """Prompts, truncation and similarity: what concerns the model as a whole."""
    fields = folder.fields(MODEL_CONFIG)
    if not modules.listed:  # sentence-transformers does not read it then
        fields.require_empty("truncate_dim", "default_prompt_name")
        return _norm(folder, modules, "cosine", None)
    fields.require("model_type", "SentenceTransformer")
    fields.ignore(("__version__", "requirements"))
    prompts = _prompts(fields)
    default = fields.take("default_prompt_name", str, "", nullable=True)
    if not default:
        fields.require("default_prompt_name")
    truncated = fields.take("truncate_dim", int, 0, nullable=True)
    if not truncated:
        fields.require("truncate_dim")
    similarity = fields.take("similarity_fn_name", str, "cosine", nullable=True)
    fields.end()
    if similarity not in SIMILARITIES:
        raise ArtifactError(
            f"{MODEL_CONFIG}: similarity_fn_name is {similarity!r:.60}; it must be {one_of(SIMILARITIES)}"
        )
    if truncated < 0:
        raise ArtifactError(f"{MODEL_CONFIG}: truncate_dim is {truncated}; it must be at least 1")
    found: dict[str, Any] = _norm(folder, modules, similarity, truncated or None)
    if named := {name: text for name, text in prompts.items() if text}:
        found["prompts"] = named
    if default:
        if default not in {*prompts, "query", "document"}:
            raise ArtifactError(
                f"{MODEL_CONFIG}: default_prompt_name is {default!r:.60}; prompts has {', '.join(prompts) or 'none'}"
            )
        if prompts.get(default):
            found["default_prompt"] = default
            folder.note("prompt before every text", repr(prompts[default]), MODEL_CONFIG)
            found |= _prompt_tokens(modules, tokenizer, prompts[default], settings["max_sequence_length"])
    return found


def _prompts(fields: Fields) -> dict[str, str]:
    prompts = fields.take("prompts", dict, {})
    bad = [name for name, text in prompts.items() if text is not None and not isinstance(text, str)]
    if bad:
        raise ArtifactError(f"{fields.where}: prompts.{bad[0]} must be a text, not {prompts[bad[0]]!r:.60}")
    return {name: text or "" for name, text in prompts.items()}


def _prompt_tokens(modules: Modules, tokenizer: TokenizerReading, prompt: str, length: int) -> dict[str, Any]:
    tokens = tokenizer.prompt_tokens(prompt)
    if tokens + 2 > length:
        raise ArtifactError(f"{MODEL_CONFIG}: the default prompt has {tokens} tokens, the model takes {length} in all")
    return {} if modules.include_prompt else {"prompt_tokens": tokens}


def _norm(folder: ModelFolder, modules: Modules, similarity: str, truncated: int | None) -> dict[str, Any]:
    """The vector's leading dimensions and its length: 1, unless the model's similarity depends on other ones."""
    found: dict[str, Any] = {}
    if truncated:
        found["truncate_dim"] = truncated
        folder.note("leading dimensions kept", truncated, MODEL_CONFIG)
    if similarity != "cosine":
        found["similarity"] = similarity
        folder.note("similarity", similarity, MODEL_CONFIG)
    wished = folder.wishes.normalize
    if wished is not None:
        folder.note("vectors have length 1", "yes" if wished else "no", ASKED)
    raw = not wished if wished is not None else similarity != "cosine" and not modules.normalized
    if not raw and similarity != "cosine" and modules.normalized and truncated:
        raise ArtifactError(
            f"{MODEL_CONFIG}: truncate_dim behind Normalize makes shorter vectors, which {similarity} similarity would "
            "tell apart; say --normalize if vectors of length 1 are right"
        )
    if raw:
        found["normalize"] = False
    if wished is None:
        source = "modules.json" if modules.normalized else f"{ASSUMED}: cosine does not depend on it"
        folder.note("vectors have length 1", "no" if raw else "yes", MODEL_CONFIG if raw else source)
    return found


def head_of(settings: dict[str, Any], weights: Weights) -> Head:
    """What follows the encoder, with the weights of its dense layers.

    Raises:
        ArtifactError: ``settings`` are no configuration of a text model, or weights do not fit them.
        KeyError: a weight is missing.
    """
    config = TextConfig.model_validate({"max_sequence_length": 1, **settings})
    layers = [_layer(layer.model_dump(), weights) for layer in config.dense]
    return Head(config.poolings, config.prompt_tokens, tuple(layers), config.truncate_dim, config.normalize)


def _layer(layer: dict[str, Any], weights: Weights) -> Dense:
    place = layer["weights"]
    weight = weights[f"{place}/linear.weight"]
    bias = weights[f"{place}/linear.bias"] if layer["bias"] else None
    shape = (layer["outputs"], layer["inputs"])
    if weight.shape != shape or (bias is not None and bias.shape != shape[:1]):
        raise ArtifactError(f"{place}: its weights are {weight.shape}, its config.json says {shape}")
    own = bool(layer["residual"]) and shape[0] != shape[1]
    wanted = {"linear.weight", *(["linear.bias"] if layer["bias"] else []), *(["residual.weight"] if own else [])}
    found = {name.removeprefix(f"{place}/") for name in weights if name.startswith(f"{place}/")}
    if found != wanted:
        raise ArtifactError(f"{place}: its weights are {sorted(found)}, its config.json asks for {sorted(wanted)}")
    residual: Any = layer["residual"]
    if own:
        residual = weights[f"{place}/residual.weight"]
    return Dense(weight, bias, layer["activation"], residual)
