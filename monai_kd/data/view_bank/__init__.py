"""The teacher's logits of views that come again, on disk, each found by the image it belongs to."""
