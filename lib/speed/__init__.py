"""What makes training and inference fast, and the benchmark that shows by how much."""
