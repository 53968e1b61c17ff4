"""What is asked: one benchmark a file, and tasks of one's own."""
