"""Where rows come from, and which of them a run takes."""
