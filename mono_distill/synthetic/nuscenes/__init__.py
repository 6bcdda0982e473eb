"""Scenes of the embedded world as a nuScenes data set."""
