"""The commands, a module per noun. Each is loaded when it is called, so that the rest costs nothing."""
