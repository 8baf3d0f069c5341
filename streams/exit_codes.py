"""How a service ends itself: its supervisor starts it again in both cases."""

EXIT_STUCK = 70
"""Stuck or shut out: a new process is the cure."""
EXIT_INTERNAL = 71
"""Something that must not happen: look at the log."""
