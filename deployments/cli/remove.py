"""``embedserve remove``: a version goes, after the gateway stopped to use it."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.document import split
from deployments.operator.execute import Change, Options, execute
from deployments.operator.service import Cluster


def remove(console: Console, reference: str, drain: bool, options: Options) -> None:
    """Take a version's route away, let its requests finish, then drop its application.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    model, _ = split(reference)
    cluster = Cluster(options.dashboard, options.url)
    operation = partial(operations.remove, reference=reference, drain=drain)
    change = Change(f"remove {reference}{' --drain' if drain else ''}", model, operation)
    execute(console, cluster, cluster.read(), change, options)
