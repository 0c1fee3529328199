"""Makes CLIP's tokenizer.json from the list of byte pairs that OpenAI published."""

from __future__ import annotations

import gzip
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from models.errors import ArtifactError, SourceError

MERGES = 49152 - 256 - 2  # CLIP was trained with so many of the published list's entries
START, END, SUFFIX = "<|startoftext|>", "<|endoftext|>", "</w>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_tokenizer(pairs: Path) -> str:
    """The text of the tokenizer.json.

    Args:
        pairs: ``bpe_simple_vocab_16e6.txt.gz``, a header line and then one byte pair per line.

    Raises:
        SourceError: the file is no such list.
    """
    try:
        lines = gzip.decompress(pairs.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceError(f"{pairs.name} is no list of byte pairs: {error}") from error
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    letters = _byte_letters()
    words = [*letters, *(letter + SUFFIX for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {word: index for index, word in enumerate(words)}
    if len(merges) != MERGES:
        raise SourceError(f"{pairs.name} holds {len(merges)} byte pairs, CLIP has {MERGES}")
    model = BPE(vocab=vocabulary, merges=merges, unk_token=END, end_of_word_suffix=SUFFIX, continuing_subword_prefix="")
    tokenizer = Tokenizer(model)
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ends = [(START, vocabulary[START]), (END, vocabulary[END])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return str(tokenizer.to_str(pretty=False))


def loaded_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json.

    Raises:
        ArtifactError: the file is none.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises Exception itself
        raise ArtifactError(f"{path.name} is no tokenizer.json: {str(error)[:160]}") from error


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte, in the order of CLIP's vocabulary: printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
