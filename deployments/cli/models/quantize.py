"""``embedserve models quantize``: the int8 form of an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deployments.cli.json_output import AsJson, print_json


def quantize(source: Annotated[Path, typer.Argument(exists=True)], target: Path, as_json: AsJson = False) -> None:
    """Write the int8 form of any ONNX file, its rows scaled one by one."""
    from models.graph.builder import save
    from models.graph.onnx_file import load
    from models.graph.rewrite import quantise_model

    save(quantise_model(load(source)), target)
    before, after = source.stat().st_size / 1e6, target.stat().st_size / 1e6
    if as_json:
        print_json({"source": str(source), "target": str(target), "megabytes": {"before": before, "after": after}})
        return
    Console().print(f"{target}: {after:.1f} MB instead of {before:.1f} MB", highlight=False)
