"""No input costs more than it weighs: inputs made to be dear, read in processes of their own, measured in time and memory."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.costs.budget import EVENT_LOOP
from tests.costs.inputs import INPUTS, input_of
from tests.costs.measure import cost_of, main
from tests.costs.parsers import PARSERS, Parser
from tests.forking import FORKING, preload

preload("tests.costs.measure")
FEW = 60  # inputs of each reader
MANY = {
    "large JSON": 1_000,
    "picture": 6_000,
    "shrunk picture": 4_000,
    "picture's header": 6_000,
    "text": 6_000,
}  # of the others more
OTHERS = 16_000  # so that there are 102,000 of all
FIRST = int(os.environ.get("EMBEDSERVE_FIRST_SEED", "0"))


def measured(name: str, count: int, folder: Path) -> dict[str, float]:
    """The dearest of ``count`` inputs; fails where one is over its budget, or ends the process."""
    process = FORKING.Process(target=_measure, args=(name, count, folder))
    process.start()
    process.join()
    seed = (folder / "seed").read_text().strip() if (folder / "seed").exists() else "none"
    assert process.exitcode != -signal.SIGALRM, f"{name}: seed {seed} did not end"
    assert process.exitcode == 0, f"{name}: seed {seed} ended the process: {(folder / 'errors').read_text()[-2000:]}"
    lines = [json.loads(line) for line in (folder / "lines").read_text().splitlines()]
    over = [line for line in lines if "over" in line]
    assert not over, json.dumps(over[:10], indent=1)
    return lines[-1]


def _measure(name: str, count: int, folder: Path) -> None:
    for file, number in (("lines", 1), ("errors", 2)):
        with (folder / file).open("wb") as output:
            os.dup2(output.fileno(), number)
    os.environ["TOKENIZERS_PARALLELISM"] = "0"
    main(name, FIRST, count, folder / "seed")


@pytest.mark.parametrize("name", PARSERS)
def test_a_few_inputs_cost_no_more_than_they_weigh(name: str, tmp_path: Path) -> None:
    assert measured(name, FEW, tmp_path)["measured"] == FEW


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", PARSERS)
def test_a_hundred_thousand_inputs_cost_no_more_than_they_weigh(name: str, tmp_path: Path) -> None:
    print(json.dumps(measured(name, MANY.get(name, OTHERS), tmp_path)))


def test_there_are_a_hundred_thousand() -> None:
    assert sum(MANY.get(name, OTHERS) for name in PARSERS) >= 100_000


def test_every_reader_has_a_generator_whose_inputs_differ_and_repeat() -> None:
    assert set(INPUTS) == set(PARSERS)
    for name in INPUTS:
        made = [input_of(name, seed) for seed in range(20)]
        assert len(set(made)) > 15
        assert made == [input_of(name, seed) for seed in range(20)]


def test_a_reader_that_costs_too_much_is_found() -> None:
    """What the first of these readers were: in a square of time, and in twenty times the memory."""
    data = b"x" * 50_000
    slow = Parser(lambda data: [data.count(data[i : i + 1]) for i in range(0, len(data), 10)], EVENT_LOOP)
    large = Parser(lambda data: bytearray(len(data) * 1000), EVENT_LOOP)
    for parser in (slow, large):
        assert parser.budget.over(len(data), *cost_of(parser, data)) is not None


def test_line_ends_before_a_form_cost_no_more_than_they_weigh() -> None:
    """A regular expression remembered each of them, in case that it had to go back: 57 bytes a byte."""
    parser = PARSERS["form"]
    data = b"multipart/form-data; boundary=b\n" + b"\r\n" * 2_000_000
    assert parser.budget.over(len(data), *cost_of(parser, data)) is None
