"""A SigLIP whose texts go through its own tokenizer: SentencePiece behind lower-casing and without punctuation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

from safetensors.numpy import save_file

from tests.data.zoo.families import DATA, SIGLIP, dump, weight
from tests.data.zoo.families import shapes as of_families
from tests.data.zoo.text_mutations import mutated

PIECES = DATA / "siglip.spiece.model"
IN_BYTES = DATA / "siglip-bytes.spiece.model"  # as multilingual ones are: what no piece covers is written in bytes
LONGEST = 16
TEXTS = [
    "a photo of a cat",
    "A Photo, of a CAT!",
    "  a photo of\ta  dog \n",
    " ! a cat",
    "the dog's ball-game... (in the park)",
    "ΟΔΟΣ και ΟΔΟΣ.",
    "a cat</s>a dog",
    "a cat </s> . a dog <unk> of",
    "</s>",
    "a < b and b > c",
    "▁the▁park▁ of",
    "ﬁve ﬁsh １２ \u200bpark\u3000ball\u00a0a",
    "\x1cthe\x1fball\x85",
    "İstanbul STRASSE Straße",
    "日本 park 本",
    "",
    "!!!",
    "🐈 a cat 🐈🐈",
    "the ball of the dog in the park and the cat of the park " * 3,
    "xyzzyquux",
]
WORDS: dict[str, Any] = {
    "added_tokens_decoder": {
        str(index): {
            "content": word,
            "lstrip": True,
            "normalized": False,
            "rstrip": True,
            "single_word": False,
            "special": True,
        }
        for index, word in ((1, "</s>"), (2, "<unk>"))
    },
    "additional_special_tokens": [],
    "clean_up_tokenization_spaces": True,
    "do_lower_case": True,
    "eos_token": "</s>",
    "model_input_names": ["input_ids"],
    "model_max_length": LONGEST,
    "pad_token": "</s>",
    "processor_class": "SiglipProcessor",
    "sp_model_kwargs": {},
    "tokenizer_class": "SiglipTokenizer",
    "unk_token": "<unk>",
}


@dataclass(frozen=True)
class Siglip:
    """A folder with both towers, this tokenizer_config.json and this file of SentencePiece."""

    name: str
    words: dict[str, Any] = field(default_factory=lambda: WORDS)
    pieces: Path = PIECES

    def write(self, folder: Path) -> Path:
        """The folder."""
        folder.mkdir(parents=True)
        dump(folder, "config.json", config())
        dump(folder, "tokenizer_config.json", self.words)
        copyfile(self.pieces, folder / "spiece.model")
        save_file({name: weight(name, shape) for name, shape in shapes().items()}, folder / "model.safetensors")
        return folder


CASES = [
    Siglip("as the hub has it"),
    Siglip("with its case", {**WORDS, "do_lower_case": False}),
    Siglip("with little said", {"tokenizer_class": "SiglipTokenizer", "model_max_length": LONGEST}),
    Siglip("with no class named", {"model_input_names": ["input_ids"], "model_max_length": LONGEST}),
    Siglip("saved by an older library", {**WORDS, "legacy": False, "added_tokens_decoder": {}}),
    Siglip("that knows bytes", pieces=IN_BYTES),
]


FEW = (1, 5, 6, 18)  # the texts of mutations


def mutations() -> Iterator[Siglip]:
    """tokenizer_config.json with each key dropped, renamed and changed."""
    for where, changed in mutated(WORDS):
        yield Siglip(f"tokenizer_config.json{where}", changed)


def pieces() -> int:
    """Rows of the table of words, as many as the largest file has pieces and more."""
    return 400


def config() -> dict[str, Any]:
    """config.json."""
    text = {**SIGLIP["text_config"], "vocab_size": pieces(), "max_position_embeddings": LONGEST}
    text |= {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    return {**SIGLIP, "text_config": text}


def shapes() -> dict[str, tuple[int, ...]]:
    """Those of the zoo's SigLIP, but for its tables of words and positions."""
    found = {name: tuple(shape) for name, shape in of_families()["siglip"].items()}
    for name, rows in (("token", pieces()), ("position", LONGEST)):
        key = f"text_model.embeddings.{name}_embedding.weight"
        found[key] = (rows, found[key][1])
    return found
