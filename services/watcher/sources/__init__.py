"""Where objects come from: two sources behind one interface, ``services.watcher.observed``."""
