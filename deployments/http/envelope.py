"""Says to Ray nodes with an earlier version's environment where the import path of their variable has moved."""

from deployments.config.old_import_paths import CALLBACK_VARIABLE, renamed_in

raise ImportError(f"{renamed_in(__name__)}, in {CALLBACK_VARIABLE} of every Ray node")
