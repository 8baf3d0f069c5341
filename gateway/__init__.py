"""Application services and the doors over them: REST, command line."""
