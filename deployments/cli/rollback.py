"""``embedserve rollback``: a model as it was before its last change."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.document import artifacts, profile, routes, shrink_margin
from deployments.operator.execute import Change, Options, execute
from deployments.operator.lock import require_idle
from deployments.operator.preflight import artifact_hash
from deployments.operator.service import Cluster


def rollback(console: Console, model: str, checked: bool, options: Options) -> None:
    """Restore routing and artifacts; a second rollback undoes the first.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    cluster = Cluster(options.dashboard, options.url)
    current = cluster.read()
    require_idle(current)
    past = operations.past_of(current, model)
    here, back = artifacts(current, model), past["artifacts"]
    changed = {f"{model}@{version}": artifact for version, artifact in back.items() if here.get(version) != artifact}
    target, kind = operations.rollback(current, model, past), profile(current)
    hashes = {
        ref: artifact_hash(ref, name, kind, shrink_margin(target, ref)) if checked else None
        for ref, name in changed.items()
    }
    weights = past["versions"]
    listed = routes(current, model)["versions"]
    kept = {f"{model}@{v}" for v, weight in weights.items() if weight > 0 and v in listed} - changed.keys()
    operation = partial(operations.rollback, model=model, past=past)
    execute(console, cluster, current, Change(f"rollback {model}", model, operation, hashes, frozenset(kept)), options)
