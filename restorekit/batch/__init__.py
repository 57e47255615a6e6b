"""Restores many pictures safely: plan, manifest, pipeline, report."""
