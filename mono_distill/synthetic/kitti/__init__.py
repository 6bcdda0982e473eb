"""The embedded world as a KITTI object data set."""
