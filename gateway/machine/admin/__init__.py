"""The admin listener of a machine of several workers: asks each of them, and answers as one process would."""
