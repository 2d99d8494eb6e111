"""The alert rules as Prometheus reads them, and as its operator on Kubernetes does."""
