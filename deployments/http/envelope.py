"""Says to Ray nodes with an earlier version's environment where the import path of their variable has moved."""

from deployments.config.old_import_paths import moved

raise ImportError(moved())
