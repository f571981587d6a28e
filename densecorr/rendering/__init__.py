"""Cameras, fragments and pictures of a mesh."""
