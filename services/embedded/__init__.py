"""Kafka and PostgreSQL without Docker: locked binaries, each server under a supervisor that dies with us."""
