"""Base models: what a name means, GGUF files, and loading."""
