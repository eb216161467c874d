"""What is backed up: the source interface, the walk, and folders of this machine."""
