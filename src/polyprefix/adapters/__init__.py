"""The adapted model: a base model with an adapter, the registry of methods, and adapters on disk."""
