"""``embedserve promote``: one version takes all traffic."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.document import split
from deployments.operator.execute import Change, Options, execute
from deployments.operator.service import Cluster


def promote(console: Console, reference: str, options: Options) -> None:
    """Give a version weight 100 and the others 0; they stay for pinned requests and for the way back.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    model, _ = split(reference)
    cluster = Cluster(options.dashboard, options.url)
    operation = partial(operations.promote, reference=reference)
    change = Change(f"promote {reference}", model, operation, routed=frozenset({reference}))
    execute(console, cluster, cluster.read(), change, options)
