"""How messages become bytes: Avro schemas derived from the domain's dataclasses, and the codec."""
