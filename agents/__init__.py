"""What acts on commands and events: the Faust agents of the worker and the engine."""
