"""Where files are restored to: the interface, and folders of this machine."""
