"""Kafka as the event store: topics, the write path, the event store and its indexes."""
