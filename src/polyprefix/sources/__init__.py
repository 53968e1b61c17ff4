"""Which language to train in: candidates ranked for a target before anything is trained (docs/sources.md)."""
