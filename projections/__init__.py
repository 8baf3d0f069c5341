"""Read models: one file each (row, fold, queries), and what keeps them up to date."""
