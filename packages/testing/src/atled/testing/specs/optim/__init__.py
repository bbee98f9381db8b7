"""The fused steps of optimizers and the clipping of gradients."""
