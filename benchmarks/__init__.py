"""Speed and memory, measured against other tools and against size. `make bench`, `make bench-gpu`; see docs/performance.md."""
