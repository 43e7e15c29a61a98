"""The verbs, one a file; each module's `command` is imported only when it is called."""
