"""Metrics of generated samples: one file, one choice. Base: trainable/metric/sample_metric.py."""
