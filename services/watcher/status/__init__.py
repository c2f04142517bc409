"""What is written back to Kubernetes: ``status.loadBalancer`` of the Ingresses served, and Events on what was found."""
