"""The service on a Ray of its own: started, watched over, and ended with all that belongs to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deployments.cli.endings import Endings
from deployments.cli.ready_message import grpc_address, ready_panel, write_ready_file
from deployments.cluster.local_ray import LocalRay, start_local
from deployments.cluster.serve_api import ClusterError
from deployments.cluster.supervised import Supervised


@dataclass
class LocalService:
    """What is to run, and who hears of it."""

    console: Console
    deploy: Callable[
        [str, Path], str
    ]  # onto the Ray with this dashboard and these logs; returns the URL once it is ready
    served: list[tuple[str, str, int, str]]  # reference, name, dimensions and hash of each version
    asks_for_keys: bool
    ready_file: Path | None
    grpc_port: int | None = None
    ready: bool = False

    def run(self) -> None:
        """Start it and stay until a signal comes; whatever happens, nothing of it is left.

        Raises:
            ClusterError: it does not start, or ends without being told to. The logs stay until the next start.
            SystemExit: a signal came before it was ready.
        """
        with Endings() as endings:
            with endings.held():
                supervised = Supervised()
            keep_folder = False
            try:
                self._serve(supervised, endings)
            except BaseException:
                # A terminal that is gone fails every print: then the signal is the reason, not the print.
                if endings.first is None:
                    keep_folder = True
                    raise
                self._say("stopping")
                if not self.ready:
                    endings.hurry = True  # nobody's request is lost
                    raise SystemExit(128 + endings.first) from None
            finally:
                endings.expected()
                self._clear(supervised, endings, keep_folder=keep_folder)

    def _serve(self, supervised: Supervised, endings: Endings) -> None:
        with self.console.status("starting Ray"):
            local = start_local(supervised)
        try:
            url = self.deploy(local.dashboard, Path(local.logs))
        except ClusterError as error:
            raise self._reason(error, local) from error
        footer = f"Ray's dashboard: {local.dashboard}   Ctrl-C stops everything"
        with endings.held():
            self.ready = True
            grpc = grpc_address(url, self.grpc_port)
            self.console.print(ready_panel(url, self.served, footer, asks_for_keys=self.asks_for_keys, grpc=grpc))
            write_ready_file(self.ready_file, url, local.dashboard, grpc)
        raise ClusterError(local.wait(self._lost))

    def _reason(self, error: ClusterError, local: LocalRay) -> ClusterError:
        """Why the service did not get ready: a Ray that ended explains more than a call that found none."""
        return ClusterError(
            f"{local.why_silent() or error}\nthe logs are kept in {local.logs}/serve until the next start"
        )

    def _lost(self, what: str) -> None:
        self._say(
            f"note: {what}; the service answers on, but commands that change it have nobody to ask until it is started anew"
        )

    def _clear(self, supervised: Supervised, endings: Endings, *, keep_folder: bool) -> None:
        try:
            if self.ready_file is not None:
                self.ready_file.unlink(missing_ok=True)
        finally:
            supervised.end(keep_folder=keep_folder, hurry=lambda: endings.hurry)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self.console.print(text, highlight=False)
