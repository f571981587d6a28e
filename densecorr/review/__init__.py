"""What people decide about labels: acts, the state they lead to, agreement, ranking and the simulated annotator."""
