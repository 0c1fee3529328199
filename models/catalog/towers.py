"""Folders of models that embed texts and pictures, alone or as a module of sentence-transformers."""

from __future__ import annotations

from models.catalog.fields import read_document
from models.catalog.folder import ModelFolder
from models.catalog.modules import FILE, transformer_path
from models.errors import ArtifactError

TOWERS = ("CLIPModel", "Transformer")


def tower_folder(folder: ModelFolder) -> ModelFolder:
    """The folder that holds config.json and the files that prepare inputs.

    Raises:
        ArtifactError: modules.json lists something behind the towers that would change vectors.
    """
    document = read_document(folder.path / FILE)
    if document is None:
        return folder
    listed = document if isinstance(document, list) else []
    kinds = [str(module.get("type")).rpartition(".")[2] if isinstance(module, dict) else "?" for module in listed]
    if not kinds or kinds[0] not in TOWERS or any(kind != "Normalize" for kind in kinds[1:]):
        raise ArtifactError(
            f"{FILE} lists {', '.join(kinds) or 'nothing'}; towers of texts and pictures are served alone "
            f"({' or '.join(TOWERS)}), or with Normalize behind them"
        )
    return ModelFolder(folder.path / transformer_path(folder.path), folder.wishes, folder.facts)
