"""The smallest site with an app of each kind: `plans` is shared, `tags` is both, `notes` is isolated."""
