"""The embedded driving world: scenes from a seed, seen by cameras and a LiDAR, written in the formats of real sets."""
