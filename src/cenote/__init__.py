"""cenote: embeddings, pooled."""
