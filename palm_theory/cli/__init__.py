"""The ``palm`` command: ``app`` puts it together, a file a group of commands."""
