"""What training and evaluation share: batches as tensors, memory, processes, FLOPs, cost."""
