"""Adapters as a service: many adapters of one base model behind one HTTP address, with what was measured beside each answer."""
