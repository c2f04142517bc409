"""A folder of plain Kubernetes manifests as a source: documents -> files -> inotify and scans."""
