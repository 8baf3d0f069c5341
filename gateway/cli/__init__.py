"""The command line: one file per noun, all of them clients of the other doors."""
