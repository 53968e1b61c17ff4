"""Other tools of the field: their interfaces to our models and results, and their files as ours."""
