"""Says to `serve deploy` of an earlier version's configuration where its import paths have moved."""

from deployments.config.old_import_paths import moved

raise ImportError(moved())
