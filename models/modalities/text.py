"""Text: token ids of any length, padded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.engine.runs import padding, runs_of
from models.engine.types import Vectors
from models.errors import ArtifactError, InputError, LimitError
from models.inputs.prompted import Prompted
from models.inputs.token_ids import SPECIAL, Ids, pad
from models.modalities.base import Embedder, Item, Prepared, Row, require_modality, stacked
from models.modalities.modality import Modality
from models.modalities.model_files import ModelFiles
from models.modalities.text_config import TextConfig, TextLimits
from models.modalities.text_graph import buckets, run_padded
from models.modalities.tokenise import Tokenise, tokenizer_of
from models.modalities.traits import text_traits

if TYPE_CHECKING:
    from pathlib import Path

    from models.engine.session import EngineOptions

WARM_UP = ((1, 8), (1, 512), (8, 32), (32, 16))  # inputs × tokens
WARM_UP_TOKEN = 100  # any id; the vocabulary's last one where it is smaller
CHARACTERS_PER_TOKEN = 4  # English text; only splits calls, the encoder counts real tokens
USUAL_MOST = 256  # tokens where a model cuts that has not said where


class Text(Modality):
    """Texts and lists of token ids."""

    name = "text"
    config = TextConfig
    has_tokenizer = True
    graph_inputs = "input_ids, attention_mask and optionally token_type_ids"
    noun = "text"
    json_items = "texts"

    def takes(self, inputs: frozenset[str]) -> bool:
        """Whether token ids are an input, and at most their mask and types beside them."""
        return "input_ids" in inputs and inputs <= {"input_ids", "attention_mask", "token_type_ids"}

    def open(self, artifact: ModelFiles, options: EngineOptions | None = None) -> TextEmbedder:
        """Load a graph and the tokenizer beside it."""
        return TextEmbedder(artifact, options)

    def claims(self, item: Item) -> bool:
        """Token ids."""
        return isinstance(item, tuple)

    def check(self, item: Item, where: str, limits: TextLimits) -> Item:
        """The text or the token ids, if they keep to the limits."""
        if isinstance(item, bytes | memoryview):
            raise InputError(f"{where}: this model embeds text, not images", param=where, code="wrong_modality")
        if isinstance(item, str) and len(item) > limits.characters:
            raise LimitError(f"{where} has {len(item)} characters, the limit is {limits.characters}", param=where)
        if isinstance(item, tuple) and len(item) > limits.tokens:
            raise LimitError(f"{where} has {len(item)} token ids, the limit is {limits.tokens}", param=where)
        return item

    def estimate(self, item: Item, most: int | None) -> int:
        """About how many tokens an item will have; of ids exactly, but for start and end where a client brings them."""
        if isinstance(item, Prompted):
            item = item.content
        tokens = len(item) if isinstance(item, tuple) else len(item) // CHARACTERS_PER_TOKEN
        return min(tokens + SPECIAL, most or USUAL_MOST)

    def read_sample(self, path: Path) -> list[Item]:
        """One text for each line that is not empty."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no text in UTF-8, of which each line would be one input") from error
        return [line for line in text.splitlines() if line.strip()]

    def from_bytes(self, element: memoryview, where: str) -> Item:
        """A text in UTF-8."""
        try:
            return str(element, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where} is no valid UTF-8", param=where) from error


class TextEmbedder(Embedder):
    """A loaded text model."""

    def __init__(self, artifact: ModelFiles, options: EngineOptions | None = None) -> None:
        """Load the artifact's graph and tokenizer.

        Raises:
            ArtifactError: either does not load, or the graph is not a text graph.
        """
        from models.engine.engine import Engine

        if artifact.tokenizer is None:
            raise ArtifactError(f"{artifact.graph.name} has no tokenizer beside it")
        config = TextConfig.model_validate(artifact.spec.config)
        self.artifact = artifact
        self.engine = Engine(artifact.graph, options, buckets=partial(buckets, longest=config.max_sequence_length))
        require_modality(self.engine, "text", artifact.graph)
        self.pooling = config.poolings[0]
        self._prompts = tuple(name for name, text in config.prompts.items() if text)
        self._selectable = tuple(config.selectable)
        self.unit = config.normalize
        self.tokenizer = tokenizer_of(artifact.tokenizer, config)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, float32 [n, d], in order."""
        return self.embed_rows(self.tokenizer.encode(texts))

    def embed_rows(self, rows: Sequence[Ids]) -> Vectors:
        """Unit vectors of token ids, float32 [n, d], in order; rows of similar length run together."""
        if not rows:
            return np.empty((0, self.artifact.spec.dimensions), np.float32)
        lengths = self.engine.padded([len(row) for row in rows])
        together = self.engine.embed_together(rows, lengths, lambda run: self.run_padded(*pad(run)))
        if together is not None:
            return together
        runs = runs_of(lengths, self.engine.run_limits)
        parts = self.engine.map(lambda run: self.run_padded(*pad([rows[i] for i in run])), runs)
        computed = stacked(parts)
        order = [index for run in runs for index in run]
        if order == list(range(len(rows))):
            return computed
        vectors = np.empty_like(computed)
        vectors[order] = computed
        return vectors

    def run_padded(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        """Embed padded token ids, int64 [n, t] with their mask, in one run; unit vectors float32 [n, d]."""
        return run_padded(self.engine, ids, mask, self.pooling)

    def preparation(self, limits: Any = None) -> Tokenise:  # noqa: ARG002 - the tokenizer cuts what is too long
        """Texts and token ids → int32 [t] with start and end tokens."""
        return Tokenise(self.tokenizer)

    def cost(self, row: Row) -> int:
        """Its tokens."""
        return len(row)

    def tokens(self, row: Row) -> int:
        """Its tokens, special ones included."""
        return len(row)

    def padding(self, rows: Sequence[Row]) -> float | None:
        """The share of padding in a batch, 0 to 1."""
        return padding([len(row) for row in rows])

    def full(self, rows: Sequence[Prepared]) -> list[int]:
        """Those with as many tokens as the model reads."""
        most = self.tokenizer.max_length
        return [i for i, row in enumerate(rows) if not isinstance(row, InputError) and len(row) == most]

    def behind(self, items: Sequence[Item]) -> list[int]:
        """Characters of texts and ids of lists behind the last token that the model reads."""
        return [self.tokenizer.behind(item) for item in items if not isinstance(item, bytes | memoryview)]

    def traits(self, item: Item, row: Row) -> dict[str, float]:
        """Length and, of whatever language, how the vocabulary fits: pieces unknown, repeated, common; characters to a piece."""
        return text_traits(item, row, self.tokenizer)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompts of its configuration that say something."""
        return self._prompts

    @property
    def selectable(self) -> tuple[str, ...]:
        """Names of its prompts, but of none where a prompt's tokens are not pooled: only the default one's are built in."""
        return self._selectable

    @property
    def vocabulary(self) -> int | None:
        """Token ids of the tokenizer."""
        return self.tokenizer.vocabulary

    @property
    def max_tokens(self) -> int | None:
        """Tokens after which a text is cut."""
        return self.tokenizer.max_length

    def probe_row(self) -> Row:
        """The tokens of two words."""
        return self.tokenizer.encode(["hello world"])[0]

    def warm_up_batches(self) -> Iterator[list[Row]]:
        """One short and one long text, and lists of them."""
        token = min(WARM_UP_TOKEN, self.tokenizer.vocabulary - 1)
        for count, length in WARM_UP:
            yield [np.full(min(length, self.tokenizer.max_length), token, np.int32)] * count

    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        """A single token, int64 [1, 1]."""
        one = np.ones((1, 1), np.int64)
        return {"input_ids": one, "attention_mask": one, "token_type_ids": np.zeros_like(one)}
