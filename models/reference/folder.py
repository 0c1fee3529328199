"""A folder of a version that its own library opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from models.catalog.artifact import Artifact
from models.catalog.download import Silent
from models.catalog.paths import resolve_path, store
from models.catalog.record import is_synthetic
from models.catalog.source_entry import FileSource, SyntheticSource
from models.catalog.sources import fetch
from models.errors import ArtifactError
from models.graph import synthetic
from models.graph.clip_text import ClipTextConfig
from models.graph.vision import ClipVisionConfig
from models.inputs.preparation import CLIP_MEAN, CLIP_STD
from models.modalities.text_config import TextConfig
from models.reference.library import OPEN_CLIP, TOWERS

CLASS = "sentence_transformers.models"
MODULES, POOLING = "modules.json", "1_Pooling"
END = "<|endoftext|>"  # CLIP fills texts up with it, too


def folder_of(artifact: Artifact, place: Path) -> Path:
    """The owner's, where it still says how inputs become vectors, or one made of the entry, or of its random weights.

    Args:
        artifact: the version's.
        place: where a folder may be made.

    Raises:
        ArtifactError: the version has no weights that the library could open.
    """
    target = place / "model"
    if is_synthetic(artifact):
        return _random(artifact, target)
    source = next((s for s in artifact.spec.sources if not isinstance(s, SyntheticSource)), None)
    if source is None or not any(name.endswith("config.json") for name in source.files):
        raise ArtifactError("its source has no config.json, so that no library can open it")
    if isinstance(source, FileSource):
        owners = resolve_path(source.folder)
        if (owners / MODULES).is_file() or artifact.spec.type != "text" or _has_towers(owners):
            return owners
    target.mkdir()
    for name, path in fetch(source, store() / "files", Silent()).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(path.resolve())
    if artifact.spec.type == "text" and not _has_towers(target):
        _write_modules(artifact, target)
    return target


def _has_towers(folder: Path) -> bool:
    if (folder / OPEN_CLIP).is_file():
        return True
    config = folder / "config.json"
    return config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("model_type") in TOWERS


def _random(artifact: Artifact, target: Path) -> Path:
    """CLIP's own architecture with the random weights that stand in for it."""
    target.mkdir()
    if artifact.tokenizer is None:
        vision = ClipVisionConfig()
        save_file(synthetic.clip_vision(vision), target / "model.safetensors", {"format": "pt"})
        config = {
            "model_type": "clip_vision_model",
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "hidden_size": vision.hidden,
            "intermediate_size": vision.inner,
            "image_size": vision.image,
            "patch_size": vision.patch,
            "projection_dim": vision.projection,
            "hidden_act": vision.activation,
        }
        values = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD}
        _dump(target / "preprocessor_config.json", {"image_processor_type": "CLIPImageProcessor", **values})
    else:
        text = ClipTextConfig()
        save_file(synthetic.clip_text(text), target / "model.safetensors", {"format": "pt"})
        (target / "tokenizer.json").write_bytes(artifact.tokenizer.read_bytes())
        words = json.loads((target / "tokenizer.json").read_bytes())["model"]["vocab"]
        config = {
            "model_type": "clip_text_model",
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "hidden_size": text.hidden,
            "intermediate_size": text.inner,
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
            "projection_dim": text.projection,
            "hidden_act": text.activation,
            "eos_token_id": words[END],
        }
        _dump(target / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "pad_token": END})
    _dump(target / "config.json", config)
    return target


def _dump(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def _write_modules(artifact: Artifact, target: Path) -> None:
    """The files of sentence-transformers that say what the entry says, and the tokenizer as it is used."""
    config = TextConfig.model_validate(artifact.spec.config)
    if config.dense or artifact.tokenizer is None:
        raise ArtifactError("its folder is gone, and its dense layers are not written anew: put it back")
    (target / "tokenizer.json").unlink()
    (target / "tokenizer.json").write_bytes(artifact.tokenizer.read_bytes())
    kinds = (("", "Transformer"), (POOLING, "Pooling"), ("2_Normalize", "Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"{CLASS}.{kind}"} for i, (path, kind) in enumerate(kinds)
    ]
    hidden = json.loads((target / "config.json").read_text(encoding="utf-8")).get("hidden_size")
    documents: dict[str, Any] = {
        MODULES: listed if config.normalize else listed[:2],
        f"{POOLING}/config.json": {
            "embedding_dimension": hidden,
            "pooling_mode": list(config.poolings),
            "include_prompt": config.include_prompt,
        },
        "sentence_bert_config.json": {"max_seq_length": config.max_sequence_length},
        "tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"},
        "config_sentence_transformers.json": {
            "prompts": config.prompts,
            "default_prompt_name": config.default_prompt,
            "truncate_dim": config.truncate_dim,
        },
    }
    (target / POOLING).mkdir()
    for name, document in documents.items():
        (target / name).write_text(json.dumps(document), encoding="utf-8")
