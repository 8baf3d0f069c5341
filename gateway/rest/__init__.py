"""The REST door: routes that turn requests into commands and queries."""
