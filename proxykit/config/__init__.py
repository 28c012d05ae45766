"""The configuration: its models, loading, all its errors at once, its JSON schema. Runs nothing."""
