"""``embedserve add``: one more version of a model beside the others, without traffic yet."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.document import profile, routes, shrink_margin, split
from deployments.operator.execute import Change, Options, execute
from deployments.operator.lock import require_idle
from deployments.operator.preflight import artifact_hash
from deployments.operator.service import Cluster


def add(console: Console, reference: str, checked: bool, options: Options) -> None:
    """Deploy a version in the shape of its most used sibling, with weight 0.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    model, _ = split(reference)
    cluster = Cluster(options.dashboard, options.url)
    current = cluster.read()
    require_idle(current)
    routes(current, model)
    margin = shrink_margin(operations.add(current, reference), reference)
    digest = artifact_hash(reference, reference, profile(current), margin) if checked else None
    change = Change(f"add {reference}", model, partial(operations.add, reference=reference), {reference: digest})
    execute(console, cluster, current, change, options)
