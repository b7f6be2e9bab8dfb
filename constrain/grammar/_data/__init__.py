"""Generated tables; each names its generator in its first line."""
