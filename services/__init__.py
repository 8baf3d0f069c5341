"""Composition roots: one short file per process; only here adapters are picked."""
