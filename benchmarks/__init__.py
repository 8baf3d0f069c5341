"""What is fast and what is not, measured: each file is one benchmark with its peer beside it."""
