"""``config`` of a text model's catalogue entry, and the limits of texts."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from models.graph.steps import Activation, Pooling
from models.inputs.tokenizer_rewrite import TokenizerChanges
from models.modalities.model_files import ModelConfig
from models.validation import one_of

LONGEST = 8192  # tokens of a text, for every model


def _known_pooling(value: str | list[str]) -> str | list[str]:
    modes = value if isinstance(value, list) else [value]
    if not modes or any(mode not in get_args(Pooling) for mode in modes):
        raise ValueError(f"must be {one_of(get_args(Pooling))}, or a list of them, not {value!r:.80}")
    return value


class DenseConfig(BaseModel):
    """A layer behind the pooling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: StrictStr  # its folder, whose model.safetensors is one of the source's files
    activation: Activation
    inputs: Annotated[StrictInt, Field(ge=1)]
    outputs: Annotated[StrictInt, Field(ge=1)]
    bias: StrictBool = True
    residual: StrictBool = False


class TextConfig(ModelConfig):
    """What ``config`` of a text model may say."""

    max_sequence_length: Annotated[StrictInt, Field(ge=1, le=LONGEST)]
    do_lower_case: StrictBool | None = None  # replaces the setting of a BERT normaliser
    tokenizer: TokenizerChanges | None = None
    pooling: Annotated[str | list[str], AfterValidator(_known_pooling)] = "mean"  # a list: one after the other
    include_prompt: StrictBool = True  # whether a prompt's tokens are pooled
    prompt_tokens: Annotated[StrictInt, Field(ge=0)] = 0  # leading tokens that are not: those of the default prompt
    dense: tuple[DenseConfig, ...] = ()
    truncate_dim: Annotated[StrictInt, Field(ge=1)] | None = None
    normalize: StrictBool = True  # vectors of length 1
    # Read by nobody: where it is not cosine, `models add` writes it beside the `normalize` that follows from it, and tells it. It stays
    # because the content hash is made of the whole config: without it the vectors of these models would go by another hash.
    similarity: Literal["cosine", "dot", "euclidean", "manhattan"] = "cosine"
    prompts: dict[str, StrictStr] = Field(default_factory=dict)
    default_prompt: str | None = None  # which of them stands before every text
    in_graph: StrictBool = False  # pooling and all that follows is appended to a finished graph
    token_output: StrictStr | None = None  # its output with a vector per token, where that has a name of its own
    fill: Annotated[StrictInt, Field(ge=0)] | None = None  # the token that SigLIP's texts are filled up with
    siglip_words: Literal["lower", "cased"] | None = (
        None  # its tokenizer takes texts without punctuation, in lower case or not
    )
    end: Annotated[StrictInt, Field(ge=0)] | None = None  # the token whose first place CLIP takes the vector of
    batch_dependent: StrictBool = False  # its vectors depend on the other inputs of a batch

    @model_validator(mode="after")
    def _check_prompt(self) -> TextConfig:
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(
                f"default_prompt is {self.default_prompt!r}; prompts has {', '.join(self.prompts) or 'none'}"
            )
        return self

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """The pooling, or several whose results are written one after the other."""
        modes = self.pooling if isinstance(self.pooling, list) else [self.pooling]
        return tuple(cast(Pooling, mode) for mode in modes)

    @property
    def prompt(self) -> str:
        """What stands before every text."""
        return self.prompts[self.default_prompt] if self.default_prompt else ""

    @property
    def selectable(self) -> dict[str, str]:
        """The prompts that a text may be given in its place. Where no prompt is pooled, the graph skips the default one's tokens."""
        if self.include_prompt:
            return self.prompts
        return {self.default_prompt: self.prompt} if self.default_prompt else {}


class TextLimits(Protocol):
    """The keys of the gateway's ``limits`` that concern texts."""

    @property
    def characters(self) -> int:
        """Most characters of one text."""

    @property
    def tokens(self) -> int:
        """Most token ids of one list."""
