"""vultus: 23 published face-and-speech systems as one reproducible pipeline."""
