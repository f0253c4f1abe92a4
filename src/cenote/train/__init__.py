"""Training: losses, and poolers fitted on frozen states."""
