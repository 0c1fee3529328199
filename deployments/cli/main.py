"""``embedserve``: every command, and the file that does its work."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

import typer

from deployments.cli.add import add
from deployments.cli.assign import assign
from deployments.cli.audit import audit
from deployments.cli.backfill import backfill
from deployments.cli.coverage import coverage
from deployments.cli.doctor import doctor
from deployments.cli.embed import embed
from deployments.cli.error_line import print_error
from deployments.cli.experiment.report import report
from deployments.cli.history import history
from deployments.cli.hold_replicas import hold_replicas
from deployments.cli.keys.create import create
from deployments.cli.keys.list import list_keys
from deployments.cli.keys.revoke import revoke
from deployments.cli.models.add import add_model
from deployments.cli.models.align import align
from deployments.cli.models.build import build
from deployments.cli.models.compare import compare
from deployments.cli.models.list import list_models
from deployments.cli.models.pull import pull
from deployments.cli.models.quantize import quantize
from deployments.cli.models.verify import verify
from deployments.cli.promote import promote
from deployments.cli.remove import remove
from deployments.cli.rollback import rollback
from deployments.cli.rollout import rollout
from deployments.cli.route import route
from deployments.cli.scale import scale
from deployments.cli.status import status
from deployments.cli.swap import swap
from deployments.cli.up import up
from deployments.cli.validate import validate
from deployments.cli.watch_drift import watch_drift
from models.errors import EmbedserveError

# A command's file imports Ray, ONNX Runtime and the like inside its function: `embedserve --help` must not wait for them.
SERVICE: Mapping[str, Callable[..., None]] = {
    "up": up,
    "status": status,
    "doctor": doctor,
    "embed": embed,
    "swap": swap,
    "route": route,
    "add": add,
    "remove": remove,
    "promote": promote,
    "rollback": rollback,
    "rollout": rollout,
    "hold-replicas": hold_replicas,
    "history": history,
    "scale": scale,
    "validate": validate,
    "watch-drift": watch_drift,
    "backfill": backfill,
    "coverage": coverage,
    "audit": audit,
    "assign": assign,
}
MODELS: Mapping[str, Callable[..., None]] = {
    "list": list_models,
    "pull": pull,
    "verify": verify,
    "build": build,
    "add": add_model,
    "quantize": quantize,
    "compare": compare,
    "align": align,
}
EXPERIMENT: Mapping[str, Callable[..., None]] = {
    "report": report,
}
KEYS: Mapping[str, Callable[..., None]] = {
    "create": create,
    "list": list_keys,
    "revoke": revoke,
}


DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
REMEDY = "the command needs this file or folder: make it accessible, with space left, or name another one"


def _group(commands: Mapping[str, Callable[..., None]], summary: str, **settings: Any) -> typer.Typer:
    group = typer.Typer(help=summary, no_args_is_help=True, **settings)
    for name, command in commands.items():
        group.command(name)(command)
    return group


app = _group(
    SERVICE,
    "Text and image embeddings over HTTP: ONNX Runtime models on Ray Serve.",
    name="embedserve",
    pretty_exceptions_enable=False,
)
app.add_typer(_group(MODELS, "The model catalogue: list, pull and verify versions."), name="models")
app.add_typer(_group(EXPERIMENT, "Versions of a model beside each other, under real traffic."), name="experiment")
app.add_typer(_group(KEYS, "API keys: make, list, revoke. The file keeps hashes only."), name="keys")


def main() -> None:
    """Run the command line; an error of ours is one clear line and exit code 1."""
    try:
        app()
    except EmbedserveError as error:
        print_error(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None and error.errno not in DISK:
            raise  # of no file: a defect
        print_error(f"{error.strerror}{f': {error.filename}' if error.filename else ''}; {REMEDY}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
