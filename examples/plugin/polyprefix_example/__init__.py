"""An example of a plugin: the method `scaled-text` and the task `evenness`."""
