"""The registry of ConfigMap keys: one typed entry per name, and how the controller's ConfigMap is read with it.

Pure data and pure functions, shared by every role. Must not know what an edge does with a setting.
"""
