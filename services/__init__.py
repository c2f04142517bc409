"""The roles of Limen (watcher, compiler, edge), what they share (contract, runtime) and the command line."""
