"""The business of FlexCore: pure functions and values, standard library only."""
