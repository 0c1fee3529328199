"""``embedserve swap``: another artifact under the same label, without a restart."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.document import profile, require_routed, shrink_margin, split
from deployments.operator.execute import Change, Options, execute
from deployments.operator.lock import require_idle
from deployments.operator.preflight import artifact_hash, artifact_name
from deployments.operator.service import Cluster


def swap(console: Console, reference: str, to: str, checked: bool, options: Options) -> None:
    """Change what a version loads; the label stays, the hash changes.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    model, version = split(reference)
    artifact = artifact_name(model, to)
    cluster = Cluster(options.dashboard, options.url)
    current = cluster.read()
    require_idle(current)
    require_routed(current, model, version)
    margin = shrink_margin(current, reference)
    digest = artifact_hash(reference, artifact, profile(current), margin) if checked else None
    operation = partial(operations.swap, reference=reference, artifact=artifact, digest=digest)
    change = Change(f"swap {reference} --to {to}", model, operation, {reference: digest})
    execute(console, cluster, current, change, options)
