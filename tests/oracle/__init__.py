"""Slow, obviously right recognizers: what the kernel is compared with, and nothing else."""
