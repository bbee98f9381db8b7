"""Specifications of core's ops, by the families of packages/core/csrc/ops."""
